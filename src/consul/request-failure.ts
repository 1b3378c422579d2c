// Turns a failed request into a ConsulError that says what was asked of whom and what came of it, without a secret in it.

import type { AgentOptions } from "./client-options.ts";
import { ConsulError, type ConsulErrorDetails } from "./consul-error.ts";
import { secretsOf } from "./credentials.ts";
import { createScrubber } from "./secrets.ts";

/** What is known of a failure. */
export interface FailureDetails {
  readonly status?: number;
  /** The answer's body. Shown in the message of an error status. */
  readonly text?: string;
  /** How long the answer asks to be left alone. */
  readonly retryAfterMs?: number | undefined;
  /** The answer's Location header. */
  readonly location?: string | null;
  readonly cause?: unknown;
}

/** Makes the errors of one request; `outcome` completes the message. */
export type CreateConsulError = (
  code: ConsulErrorDetails["code"],
  outcome: string,
  details?: FailureDetails,
) => ConsulError;

/** Longest text of Consul's that an error keeps. */
const maxTextLength = 1024;

/** Creates what makes the errors of one request. `path` is path and query as sent, `token` the token sent. */
export function createFailure(
  client: AgentOptions,
  request: { readonly action: string; readonly method: string },
  path: string,
  token: string | undefined,
): CreateConsulError {
  return (code, outcome, { status, text, location, retryAfterMs, cause } = {}) => {
    const scrubber = createScrubber(secretsOf(client, token));
    const shownPath = scrubber.text(path);
    const address = scrubber.text(client.address);
    // Scrubbed before it is cut: half a secret would not be found.
    const shownText = text === undefined ? undefined : scrubber.text(text.trim()).slice(0, maxTextLength);
    const reason = code === "http" ? explain(status, location, shownText) : "";
    const message = `Cannot ${request.action}: ${request.method} ${shownPath} at ${address} ${outcome}${reason}`;
    return new ConsulError(scrubber.text(message), {
      code,
      method: request.method,
      path: shownPath,
      address,
      ...(status === undefined ? {} : { status }),
      ...(shownText === undefined ? {} : { text: shownText }),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      ...(cause === undefined ? {} : { cause: scrubber.cause(cause) }),
    });
  };
}

function explain(status = 0, location: string | null | undefined, text: string | undefined): string {
  if (status >= 300 && status < 400 && location) return `: redirects are not followed, this one to ${location}`;
  return text ? `: ${text}` : "";
}
