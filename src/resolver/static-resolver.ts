// A Resolver over a list that its owner sets. Asks nobody.

import { type Clock, systemClock } from "../core/clock.ts";
import type { Endpoint } from "../core/endpoint.ts";
import type { Resolver, ResolverSnapshot } from "./resolver.ts";
import { sameInstances } from "./service-instance.ts";
import { createSnapshotFeed } from "./snapshot-feed.ts";

/**
 * A URL (`http://10.0.0.1:10000`; without a port the scheme's default), or an endpoint of which all but the URL may be left out.
 * Defaults: the URL as id, weight 1, passing, no zone, no tags, no meta.
 */
export type StaticEndpoint = string | (Pick<Endpoint, "url"> & Partial<Endpoint>);

/** A resolver whose list is set by hand. */
export interface StaticResolver extends Resolver {
  /** Replaces the list and tells the listeners, unless it says what the old one said. Throws as `createStaticResolver` does; the old list stands then. */
  update(endpoints: readonly StaticEndpoint[]): void;
}

/**
 * Creates a resolver of a fixed list, in any order; it may be empty. Throws TypeError for a URL that is not an http or https
 * origin, for ids that repeat and for a weight outside 1 to 65535.
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
    const snapshot = { endpoints: readEndpoints(list), stale: false, confirmedAtMs: clock.now() };
    if (feed.latest !== undefined && sameInstances(feed.latest.endpoints, snapshot.endpoints)) feed.amend(snapshot);
    else feed.publish(snapshot);
  };
  set(endpoints);
  return {
    get description() {
      const urls = (feed.latest?.endpoints ?? []).map(({ url }) => url);
      return urls.length === 0 ? "an empty static list" : `the static list ${urls.join(", ")}`;
    },
    subscribe: (listener) => feed.subscribe(listener),
    refresh: () => Promise.resolve(),
    update: set,
  };
}

function readEndpoints(list: readonly StaticEndpoint[]): readonly Endpoint[] {
  const endpoints = new Map<string, Endpoint>();
  for (const given of list) {
    const partial = typeof given === "string" ? { url: given } : given;
    const url = readOrigin(partial.url);
    const { id = url, weight = 1, health = "passing", zone = "", tags = [], meta = {} } = partial;
    if (!(Number.isInteger(weight) && weight >= 1 && weight <= 65535)) {
      throw new RangeError(`Cannot list ${url} as "weight" must be an integer from 1 to 65535: received ${weight}`);
    }
    if (endpoints.has(id)) throw new TypeError(`Cannot list ${url} as ids must be unique: received "${id}" twice`);
    endpoints.set(id, { id, url, weight, health, zone, tags, meta });
  }
  return [...endpoints.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** The origin with its port written out. */
function readOrigin(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (
    url === undefined ||
    (url.protocol !== "http:" && url.protocol !== "https:") ||
    url.pathname !== "/" ||
    `${url.username}${url.password}${url.search}${url.hash}` !== "" ||
    url.port === "0"
  ) {
    // A rejected URL may hold a password: it is not repeated.
    throw new TypeError(
      `Cannot list an endpoint as "url" must be an http or https origin such as http://10.0.0.1:10000: received ${received(text)}`,
    );
  }
  const port = url.port === "" ? (url.protocol === "http:" ? "80" : "443") : url.port;
  return `${url.protocol}//${url.hostname}:${port}`;
}

function received(text: unknown): string {
  if (typeof text !== "string") return String(text);
  return text.includes("@") ? "one with credentials" : JSON.stringify(text);
}
