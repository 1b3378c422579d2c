// Which failures of fetch prove that no connection was made, so that no server can have seen the request. Decided by the codes that runtimes set,
// never by their prose: where there is no code there is no proof.

/** Refused by the host, or no address for the name: nothing was sent. Node and Bun; `ConnectionRefused` is Bun's older word for it. */
const codes: ReadonlySet<unknown> = new Set([
  "ECONNREFUSED",
  "ConnectionRefused",
  "ENOTFOUND",
  "EAI_AGAIN",
  "UND_ERR_CONNECT_TIMEOUT",
]);

/**
 * Whether what fetch rejected with proves that nothing was sent. Never so on Deno, in workerd and in browsers, which set no code. In Deno a text
 * would prove nothing either: its fetch sends a request again whose connection was lost, and tells only what became of the last attempt.
 */
export function provesNoConnection(error: unknown): boolean {
  for (let at = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) {
    if ("code" in at && codes.has(at.code)) return true;
    // Node names the call that failed: https://nodejs.org/api/errors.html#errorsyscall
    if ("syscall" in at && at.syscall === "connect") return true;
  }
  return false;
}
