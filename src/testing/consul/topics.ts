// Who waits for what: blocking queries subscribe to topics, writes publish them. Knows neither data nor HTTP.

/** A set of topics with their subscribers. */
export interface Topics {
  /** Calls `wake` at every publication of one of the topics. Returns a function that stops it. */
  subscribe(names: readonly string[], wake: () => void): () => void;
  /** Wakes the subscribers of these topics, each once. */
  publish(names: Iterable<string>): void;
}

/** Creates an empty set of topics. */
export function createTopics(): Topics {
  const subscribers = new Map<string, Set<() => void>>();
  return {
    subscribe(names, wake) {
      for (const name of names) {
        const wakes = subscribers.get(name) ?? new Set();
        subscribers.set(name, wakes.add(wake));
      }
      return () => {
        for (const name of names) {
          const wakes = subscribers.get(name);
          wakes?.delete(wake);
          if (wakes?.size === 0) subscribers.delete(name);
        }
      };
    },
    publish(names) {
      const due = new Set<() => void>();
      for (const name of names) {
        for (const wake of subscribers.get(name) ?? []) due.add(wake);
      }
      for (const wake of due) wake();
    },
  };
}
