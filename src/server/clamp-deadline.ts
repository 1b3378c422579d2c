// Deadlines longer than a timer can wait, which Connect would hand to one: the runtimes turn those into 1 ms. Reads headers only.

import { maxTimerMs } from "../core/clock.ts";

/** Milliseconds a unit: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests */
const units: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 0.001, n: 0.000_001 };

/** Shortens a deadline that no timer can wait for to the longest one that it can. Leaves what is no deadline to Connect. */
export function clampDeadline(header: Headers): void {
  const connect = header.get("connect-timeout-ms");
  if (connect !== null && /^\d{1,10}$/.test(connect) && Number(connect) > maxTimerMs) {
    header.set("connect-timeout-ms", String(maxTimerMs));
  }
  const grpc = header.get("grpc-timeout");
  if (grpc === null) return;
  const [, count = "", unit = ""] = /^(\d{1,8})([HMSmun])$/.exec(grpc) ?? [];
  if (Number(count) * (units[unit] ?? 0) > maxTimerMs) header.set("grpc-timeout", `${Math.floor(maxTimerMs / 1000)}S`);
}
