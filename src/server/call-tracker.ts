// Counts the requests a server is busy with, so that a drain knows what it waits for. Knows nothing of what they are.

/** Requests under way, from their head to the end of their answer. */
export interface CallTracker {
  /** Tokens of the requests under way; a copy is a snapshot that later ends can be held against. */
  readonly active: ReadonlySet<object>;
  /** A request began. Call the returned function when its answer is over, whatever became of it; again does nothing. */
  begin(): () => void;
  /** Resolves as soon as no request is under way: at once, where none is. Later requests do not matter. */
  idle(): Promise<void>;
}

/** Creates a tracker with no requests. */
export function createCallTracker(): CallTracker {
  const active = new Set<object>();
  let waiting: (() => void)[] = [];
  return {
    active,
    begin() {
      const token = {};
      active.add(token);
      return () => {
        if (!active.delete(token) || active.size > 0) return;
        const idle = waiting;
        waiting = [];
        for (const resolve of idle) resolve();
      };
    },
    idle() {
      if (active.size === 0) return Promise.resolve();
      return new Promise((resolve) => {
        waiting.push(resolve);
      });
    },
  };
}
