// What an error says, for messages. Keeps nothing, and knows no class of error that is not the language's.

/** The innermost text of an error, on one line: runtimes wrap what the socket said in "fetch failed", and OpenSSL ends it with a line break. */
export function reasonOf(error: unknown): string {
  let reason = "unknown error";
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) {
    const inner = at instanceof AggregateError ? at.errors[0] : undefined;
    const code = "code" in at && typeof at.code === "string" ? at.code : "";
    const text = joinLines(at.message) || (inner instanceof Error ? joinLines(inner.message) : "") || code || at.name;
    reason = code !== "" && !text.includes(code) ? `${text} (${code})` : text;
  }
  return error instanceof Error ? reason : joinLines(String(error));
}

/** The text without line breaks. */
export function joinLines(text: string): string {
  return text.trim().replaceAll(/\s*[\r\n]+\s*/g, " ");
}
