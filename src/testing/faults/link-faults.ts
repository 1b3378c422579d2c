// What can be wrong with one direction of a connection, its defaults and its limits. Does no I/O.

/** What is wrong with one direction. Everything left out is as on a good network. */
export interface LinkFaults {
  /** Every byte arrives this much later, in milliseconds, at least 0. Default 0. */
  readonly latencyMs?: number;
  /** Up to this much is added to the latency, anew for each piece read, in milliseconds, at least 0. Order is kept. Default 0. */
  readonly jitterMs?: number;
  /** No more than this passes on each connection, at least 1. Senders feel it as TCP lets them: their writes wait. Default: as much as comes. */
  readonly bytesPerSecond?: number;
  /** Nothing is read and nothing passed on; sockets stay open. What was held arrives when the stall is over. Default false. */
  readonly stalled?: boolean;
  /**
   * Everything is read and thrown away, the end of the connection too: what a black hole looks like from both sides. A connection that
   * lost something is reset when the loss is over, as a stream with a hole is none. Default false.
   */
  readonly dropped?: boolean;
  /** Chance, from 0 to 1, that a piece read resets its connection and is lost. A piece is mostly what the sender wrote at a time. Default 0. */
  readonly resetShare?: number;
  /** After so many more bytes of each connection it is ended both ways, in the middle of a message, it may be. At least 0. Default: never. */
  readonly truncateAfterBytes?: number;
}

/** All in its place. */
export type ResolvedLinkFaults = Required<LinkFaults>;

/** A good network. */
export const noFaults: ResolvedLinkFaults = {
  latencyMs: 0,
  jitterMs: 0,
  bytesPerSecond: Number.POSITIVE_INFINITY,
  stalled: false,
  dropped: false,
  resetShare: 0,
  truncateAfterBytes: Number.POSITIVE_INFINITY,
};

/** Fills in the defaults. Throws TypeError or RangeError that names the fault, the rule and the value. */
export function resolveLinkFaults(faults: LinkFaults): ResolvedLinkFaults {
  if (typeof faults !== "object" || faults === null) {
    throw new TypeError(`Cannot set faults as they must be an object: received ${faults}`);
  }
  const resolved = { ...noFaults };
  for (const [name, value] of Object.entries(faults)) {
    if (!Object.hasOwn(noFaults, name)) throw new TypeError(`Cannot set faults as "${name}" is none of them`);
    if (value !== undefined) Object.assign(resolved, { [name]: value });
  }
  checkNumber("latencyMs", resolved.latencyMs, 0, maxHoldMs);
  checkNumber("jitterMs", resolved.jitterMs, 0, maxHoldMs);
  checkNumber("bytesPerSecond", resolved.bytesPerSecond, 1, Number.POSITIVE_INFINITY);
  checkNumber("resetShare", resolved.resetShare, 0, 1);
  checkNumber("truncateAfterBytes", resolved.truncateAfterBytes, 0, Number.POSITIVE_INFINITY);
  for (const name of ["stalled", "dropped"] as const) {
    if (typeof resolved[name] !== "boolean") {
      throw new TypeError(`Cannot set faults as "${name}" must be a boolean: received ${resolved[name]}`);
    }
  }
  return resolved;
}

/** A day: more is a mistake in units. */
const maxHoldMs = 86_400_000;

function checkNumber(name: string, value: number, min: number, max: number): void {
  if (typeof value === "number" && value >= min && value <= max) return;
  const rule = max === Number.POSITIVE_INFINITY ? `at least ${min}` : `from ${min} to ${max}`;
  throw new RangeError(`Cannot set faults as "${name}" must be ${rule}: received ${value}`);
}
