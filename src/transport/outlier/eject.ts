// Which of the endpoints that look bad are left out of the picking: never all, and none where most look bad, as the fault is ours or shared then.

import type { Track } from "./track.ts";

/** Above this share of bad ones among the connected, in percent, all count: what Envoy calls panic. */
const panicPercent = 50;

/** What was decided. */
export interface Ejections {
  readonly ejected: ReadonlySet<Track>;
  /** More look bad than may be ejected for it. */
  readonly isPanic: boolean;
}

/**
 * Chooses among the endpoints that are connected. `bad` are theirs, in the order in which they were found. Who does not even answer a PING is ejected
 * as long as one other is left; the others as far as `maxPercent` goes, at least one of them (gRFC A50).
 */
export function chooseEjected(connected: number, bad: readonly Track[], maxPercent: number): Ejections {
  const silent = bad.filter((track) => track.bad?.fault === "silence");
  // Nobody answers: it is our own network.
  if (bad.length === 0 || silent.length >= connected) return { ejected: new Set(), isPanic: bad.length > 0 };
  const others = bad.filter((track) => !silent.includes(track));
  const isPanic = bad.length * 100 > connected * panicPercent;
  const room = Math.max(1, Math.floor((connected * maxPercent) / 100)) - silent.length;
  const most = isPanic || bad.length >= connected ? 0 : Math.max(0, room);
  return {
    ejected: new Set([...silent, ...others.slice(0, most)]),
    isPanic: isPanic && others.length > 0,
  };
}
