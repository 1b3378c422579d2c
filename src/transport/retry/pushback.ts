// What a server says of a retry: gRFC A6, "Pushback". Waits for nothing itself.

import type { ConnectError } from "@connectrpc/connect";
import { callFate } from "../../core/call-fate.ts";

/** What an answer asks for: a retry after so many milliseconds, none at all, or nothing. */
export type Pushback = number | "stop" | undefined;

const header = "grpc-retry-pushback-ms";
const maxInt32 = 0x7fff_ffff;

/** Reads the pushback of an answered error. What is negative, or no number, asks for no retry. */
export function readPushback(error: ConnectError): Pushback {
  if (callFate(error) !== "answered") return undefined;
  const value = error.metadata.get(header);
  if (value === null) return undefined;
  const delayMs = /^(0|[1-9]\d{0,9})$/.test(value) ? Number(value) : -1;
  return delayMs >= 0 && delayMs <= maxInt32 ? delayMs : "stop";
}
