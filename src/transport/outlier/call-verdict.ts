// What the end of a call says of the endpoint that it was sent to.

import { Code, ConnectError } from "@connectrpc/connect";
import type { CallFate } from "../../core/call-fate.ts";

/** `fault`: the server is to blame. `fine`: it works. `nothing`: it may have never heard of the call. */
export type CallVerdict = "fault" | "fine" | "nothing";

/**
 * Answers that a working server does not give. Not among them: what says that the caller was wrong (`invalid_argument`, `not_found`, ...),
 * `unimplemented`, which every instance would say, and `resource_exhausted`, as a server that sheds load would only hand it on to the others.
 */
const faults: ReadonlySet<Code> = new Set([
  Code.Unavailable,
  Code.Internal,
  Code.Unknown,
  Code.DataLoss,
  Code.DeadlineExceeded,
]);

/** Reads the failure of one attempt. */
export function callVerdict(error: unknown, fate: CallFate): CallVerdict {
  if (fate === "unprocessed") return "nothing";
  const { code, metadata } = ConnectError.from(error);
  // A server that sheds load says when to come again: it works, and its load would only fall on the others.
  if (fate === "answered" && code === Code.Unavailable && metadata.has("grpc-retry-pushback-ms")) return "fine";
  if (faults.has(code)) return "fault";
  // Without an answer, all else is the caller's doing: it gave up, or did not like what came.
  return fate === "answered" ? "fine" : "nothing";
}

/** Whether a failure says that the server kept silent: the deadline passed, and no status came. */
export function wasSilent(error: unknown, fate: CallFate): boolean {
  return fate === "maybe-processed" && ConnectError.from(error).code === Code.DeadlineExceeded;
}
