// Answers of the embedded agent, before they are HTTP.

/** One answer. */
export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Empty for no body. */
  readonly body: string | Uint8Array;
}

/** An error that Consul answers with a status and a plain text. */
export class ReplyError extends Error {
  override readonly name = "ReplyError";
  readonly code = "consul-reply";
  readonly status: number;

  constructor(status: number, text: string) {
    super(text);
    this.status = status;
  }
}

/** A JSON answer. */
export function jsonReply(value: unknown, headers: Readonly<Record<string, string>> = {}): Reply {
  return {
    status: 200,
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(value),
  };
}

/** A plain text answer, as Consul gives for errors: no trailing newline. */
export function textReply(status: number, text: string, headers: Readonly<Record<string, string>> = {}): Reply {
  return { status, headers: { ...headers, "Content-Type": "text/plain; charset=utf-8" }, body: text };
}
