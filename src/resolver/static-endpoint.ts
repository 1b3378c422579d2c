// Endpoints as people write them: a URL, or what differs from the defaults. Checks and completes them; does no I/O.

import type { Endpoint } from "../core/endpoint.ts";

/**
 * A URL (`http://10.0.0.1:10000`; without a port the scheme's default), or an endpoint of which all but the URL may be left out.
 * Defaults: the URL as id, weight 1, passing, no zone, no tags, no meta.
 */
export type StaticEndpoint = string | (Pick<Endpoint, "url"> & Partial<Endpoint>);

/** The list complete and sorted by id. Throws TypeError for a URL that is not an http or https origin and for ids that repeat, RangeError for a weight outside 1 to 65535. */
export function readStaticEndpoints(list: readonly StaticEndpoint[]): readonly Endpoint[] {
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
