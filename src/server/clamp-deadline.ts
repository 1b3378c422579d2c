// Deadlines longer than a timer can wait, which Connect would hand to one: the runtimes turn those into 1 ms. Reads headers only.

import { maxTimerMs } from "../core/clock.ts";
import { timeoutUnitMs } from "../core/grpc-timeout.ts";

/** Shortens a deadline that no timer can wait for to the longest one that it can. Leaves what is no deadline to Connect. */
export function clampDeadline(header: Headers): void {
  const connect = header.get("connect-timeout-ms");
  if (connect !== null && /^\d{1,10}$/.test(connect) && Number(connect) > maxTimerMs) {
    header.set("connect-timeout-ms", String(maxTimerMs));
  }
  const grpc = header.get("grpc-timeout");
  if (grpc === null) return;
  const [, count = "", unit = ""] = /^(\d{1,8})([HMSmun])$/.exec(grpc) ?? [];
  const timeoutMs = Number(count) * (timeoutUnitMs(unit.charCodeAt(0)) ?? 0);
  if (timeoutMs > maxTimerMs) header.set("grpc-timeout", `${Math.floor(maxTimerMs / 1000)}S`);
}
