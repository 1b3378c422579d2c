// Hands snapshots to any number of listeners, in order and one at a time, also when a listener subscribes, unsubscribes or
// publishes meanwhile. Knows nothing of where snapshots come from.

/** Who is told: ResolverListener, for any kind of snapshot. */
export interface FeedListener<S> {
  onSnapshot(snapshot: S): void;
  onError(error: unknown): void;
}

/** The latest snapshot and those who follow it. */
export interface SnapshotFeed<S> {
  /** The last one published or amended. */
  readonly latest: S | undefined;
  /** Listeners subscribed now. */
  readonly size: number;
  /** Tells everyone. */
  publish(snapshot: S): void;
  /** Replaces the latest snapshot without telling anyone: it says the same, later. */
  amend(snapshot: S): void;
  /** Tells everyone of a failure; the latest snapshot stands. */
  fail(error: unknown): void;
  /** Tells `listener` the latest snapshot, synchronously, where there is one, and everything after. Returns a function that ends it; ending it twice does nothing. */
  subscribe(listener: FeedListener<S>): () => void;
}

interface Subscription<S> {
  readonly listener: FeedListener<S>;
  /** Number of the last event this listener knows of. */
  readonly knownEvent: number;
}

/** Creates a feed. `onListenerError` is told what listeners throw: one that does must not cost the others their snapshot. */
export function createSnapshotFeed<S>(onListenerError: (error: unknown) => void): SnapshotFeed<S> {
  const subscriptions = new Set<Subscription<S>>();
  const queue: { readonly number: number; tell(listener: FeedListener<S>): void }[] = [];
  let events = 0;
  let latest: S | undefined;
  let delivering = false;

  const call = (tell: (listener: FeedListener<S>) => void, listener: FeedListener<S>): void => {
    try {
      tell(listener);
    } catch (error) {
      onListenerError(error);
    }
  };

  const deliver = (tell: (listener: FeedListener<S>) => void): void => {
    queue.push({ number: ++events, tell });
    // Published by a listener: those who have not heard the event before it must hear that first.
    if (delivering) return;
    delivering = true;
    for (let event = queue.shift(); event !== undefined; event = queue.shift()) {
      for (const subscription of [...subscriptions]) {
        if (subscriptions.has(subscription) && subscription.knownEvent < event.number) {
          call(event.tell, subscription.listener);
        }
      }
    }
    delivering = false;
  };

  return {
    get latest() {
      return latest;
    },
    get size() {
      return subscriptions.size;
    },
    publish(snapshot) {
      latest = snapshot;
      deliver((listener) => listener.onSnapshot(snapshot));
    },
    amend(snapshot) {
      latest = snapshot;
    },
    fail(error) {
      deliver((listener) => listener.onError(error));
    },
    subscribe(listener) {
      const subscription = { listener, knownEvent: events };
      subscriptions.add(subscription);
      const snapshot = latest;
      if (snapshot !== undefined) call(() => listener.onSnapshot(snapshot), listener);
      return () => {
        subscriptions.delete(subscription);
      };
    },
  };
}
