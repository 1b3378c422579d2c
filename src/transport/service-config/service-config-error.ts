// A service config that cannot be used, with everything that is wrong with it.

/** One thing that is wrong. */
export interface ServiceConfigProblem {
  /** Where: `methodConfig[0].retryPolicy.maxAttempts`; "" is the whole. */
  readonly path: string;
  /** What is expected there, and what was received: "must be an integer from 2: received 1". */
  readonly text: string;
}

/** As many problems as a message names; `problems` has them all. */
const shownProblems = 8;

/** A service config is not as gRPC has it. Nothing of it is in use. */
export class ServiceConfigError extends Error {
  override readonly name = "ServiceConfigError";
  readonly code = "invalid_service_config";
  /** At least one. */
  readonly problems: readonly ServiceConfigProblem[];

  /** `cause`: what the parser of the JSON threw. */
  constructor(problems: readonly ServiceConfigProblem[], cause?: unknown) {
    const shown = problems.slice(0, shownProblems).map(({ path, text }) => `${path || "it"} ${text}`);
    const more = problems.length - shown.length;
    const rest = more === 0 ? "" : `; and ${more} more`;
    super(`Cannot use the service config as ${shown.join("; ")}${rest}`, cause === undefined ? undefined : { cause });
    this.problems = problems;
  }
}
