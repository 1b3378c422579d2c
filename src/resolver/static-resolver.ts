// A Resolver over a list that its owner sets. Asks nobody.

import { type Clock, systemClock } from "../core/clock.ts";
import type { Resolver, ResolverSnapshot } from "./resolver.ts";
import { sameInstances } from "./service-instance.ts";
import { createSnapshotFeed } from "./snapshot-feed.ts";
import { describeStaticEndpoints, readStaticEndpoints, type StaticEndpoint } from "./static-endpoint.ts";

/** A resolver whose list is set by hand. */
export interface StaticResolver extends Resolver {
  /** Replaces the list and tells the listeners, unless it says what the old one said. Throws as `createStaticResolver` does; the old list stands then. */
  update(endpoints: readonly StaticEndpoint[]): void;
}

/**
 * Creates a resolver of a fixed list, in any order; it may be empty. Throws RangeError for a weight outside 1 to 65535, TypeError for
 * a URL that is not an http or https origin, for ids that repeat and for fields of another type.
 */
export function createStaticResolver(
  endpoints: readonly StaticEndpoint[],
  options: { readonly clock?: Clock } = {},
): StaticResolver {
  const { clock = systemClock } = options;
  // A listener that throws is its owner's mistake; the runtime reports it like any other.
  const feed = createSnapshotFeed<ResolverSnapshot>((error) => {
    queueMicrotask(() => {
      throw error;
    });
  });
  const set = (list: readonly StaticEndpoint[]): void => {
    const snapshot = { endpoints: readStaticEndpoints(list), stale: false, confirmedAtMs: clock.now() };
    if (feed.latest !== undefined && sameInstances(feed.latest.endpoints, snapshot.endpoints)) feed.amend(snapshot);
    else feed.publish(snapshot);
  };
  set(endpoints);
  return {
    get description() {
      return describeStaticEndpoints(feed.latest?.endpoints ?? []);
    },
    subscribe: (listener) => feed.subscribe(listener),
    refresh: () => Promise.resolve(),
    get latest() {
      return feed.latest;
    },
    update: set,
  };
}
