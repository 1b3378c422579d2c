// Blocking queries that wait: https://developer.hashicorp.com/consul/api-docs/features/blocking. Reads again when a topic says
// so, answers when the index has passed the one asked for, or when time is over. Knows no HTTP.

import type { Clock } from "../../core/clock.ts";
import type { Random } from "../../core/random.ts";
import type { CatalogRead } from "./catalog.ts";
import type { Topics } from "./topics.ts";

/** How long a read may wait, and for what. */
export interface WaitOptions {
  /** Answer only what is newer than this; 0 answers at once. */
  readonly minIndex: number;
  /** 0 or less: Consul's 5 minutes. Longer than 10 minutes counts as 10. */
  readonly waitMs: number;
  /** Token of the request, for `release`. */
  readonly secret: string;
}

/** The reads that wait now. */
export interface Waiters {
  /** How many. */
  readonly size: number;
  /** Reads, and waits if the answer is not new. Never rejects but with what `read` throws. */
  run<T>(read: () => CatalogRead<T>, options: WaitOptions): Promise<CatalogRead<T>>;
  /** Answers the waiting reads, of one token or all, as if their time was over. */
  release(secret?: string): void;
}

const defaultWaitMs = 300_000;
const maxWaitMs = 600_000;

/** Creates an empty set. */
export function createWaiters(topics: Topics, clock: Clock, random: Random): Waiters {
  const waiting = new Set<{ readonly secret: string; readonly finish: () => void }>();
  return {
    get size() {
      return waiting.size;
    },
    async run<T>(read: () => CatalogRead<T>, { minIndex, waitMs, secret }: WaitOptions): Promise<CatalogRead<T>> {
      const first = read();
      if (minIndex === 0 || first.index > minIndex) return first;
      const limitMs = Math.min(waitMs > 0 ? waitMs : defaultWaitMs, maxWaitMs);
      return new Promise((resolve, reject) => {
        let latest = first;
        let unsubscribe = topics.subscribe(latest.topics, onChange);
        const settle = (answer: () => void) => {
          unsubscribe();
          cancel();
          waiting.delete(waiter);
          answer();
        };
        function onChange(): void {
          try {
            latest = read();
          } catch (error) {
            settle(() => reject(error));
            return;
          }
          if (latest.index > minIndex) {
            waiter.finish();
            return;
          }
          // Woken for nothing: Consul waits on in silence, for what now may change.
          unsubscribe();
          unsubscribe = topics.subscribe(latest.topics, onChange);
        }
        // When time is over the answer is what was read last; Consul does not look again.
        const waiter = { secret, finish: () => settle(() => resolve(latest)) };
        waiting.add(waiter);
        // Up to a sixteenth more, so that many watchers do not come back at once.
        const cancel = clock.schedule(limitMs * (1 + random() / 16), waiter.finish);
      });
    },
    release(secret) {
      for (const waiter of [...waiting]) {
        if (secret === undefined || waiter.secret === secret) waiter.finish();
      }
    },
  };
}
