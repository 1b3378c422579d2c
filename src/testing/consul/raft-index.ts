// The one counter that every write of the agent moves. A write takes the next index whether or not it changes anything.

/** Counts writes. */
export interface RaftIndex {
  /** Index of the last write. */
  readonly current: number;
  /** Takes the index of a new write. */
  next(): number;
}

/** Creates a counter that stands at `start`. */
export function createRaftIndex(start: number): RaftIndex {
  let current = start;
  return {
    get current() {
      return current;
    },
    next() {
      current += 1;
      return current;
    },
  };
}
