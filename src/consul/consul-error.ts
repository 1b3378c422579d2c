// The one error class of the Consul client, and what may be asked of its errors. Never carries the token.

/** What a ConsulError knows. */
export interface ConsulErrorDetails {
  /** `http`: Consul answered with an error status. `network`: no answer. `timeout`: no answer in time. `decode`: an answer that is not what the API promises. */
  readonly code: "http" | "network" | "timeout" | "decode";
  /** HTTP method of the request. */
  readonly method: string;
  /** Path and query of the request, as sent after the base URL; never holds a token. */
  readonly path: string;
  /** Base URL of the agent, without credentials. */
  readonly address: string;
  /** HTTP status, where there was an answer. */
  readonly status?: number;
  /** Consul's own text, trimmed and cut at 1024 characters. */
  readonly text?: string;
  /** How long Consul, or a proxy before it, asks to be left alone (Retry-After), in milliseconds from 0 to 60000. */
  readonly retryAfterMs?: number;
  /** What the runtime threw; a copy without the secrets where it held any. */
  readonly cause?: unknown;
}

/** A request to Consul failed. Aborts are not errors of this class: they rethrow the signal's reason. */
export class ConsulError extends Error implements ConsulErrorDetails {
  override readonly name = "ConsulError";
  readonly code: ConsulErrorDetails["code"];
  readonly method: string;
  readonly path: string;
  readonly address: string;
  readonly status?: number;
  readonly text?: string;
  readonly retryAfterMs?: number;

  constructor(message: string, details: ConsulErrorDetails) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = details.code;
    this.method = details.method;
    this.path = details.path;
    this.address = details.address;
    if (details.status !== undefined) this.status = details.status;
    if (details.text !== undefined) this.text = details.text;
    if (details.retryAfterMs !== undefined) this.retryAfterMs = details.retryAfterMs;
  }
}

/**
 * Whether another agent, or another server, may answer what this one could not: nothing came, or 429 or 5xx. False for anything that is not
 * a ConsulError.
 */
export function isAgentsFault(error: unknown): error is ConsulError {
  if (!(error instanceof ConsulError)) return false;
  const { code, status = 0 } = error;
  return code === "network" || code === "timeout" || (code === "http" && (status === 429 || status >= 500));
}

/**
 * Whether the agent has forgotten the check of a heartbeat, so that its service must be registered again. Understands the
 * answers of Consul before 1.11 (500, with ACLs and without) and after (404); measured on 1.8.7 and 1.22.7. False for
 * anything that is not a ConsulError.
 */
export function isUnknownCheck(error: unknown): boolean {
  if (!(error instanceof ConsulError) || error.text === undefined) return false;
  if (error.status === 404) return error.text.includes("Unknown check");
  return error.status === 500 && /does not have associated TTL|Unknown check/.test(error.text);
}
