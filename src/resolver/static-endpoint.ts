// Endpoints as people write them: a URL, or what differs from the defaults. Checks and completes them; does no I/O.

import type { Endpoint } from "../core/endpoint.ts";
import { isArrayOf, isObject, isRecordOf, isString } from "../core/json-shape.ts";

/**
 * A URL (`http://10.0.0.1:10000`; without a port the scheme's default), or an endpoint of which all but the URL may be left out.
 * Defaults: the URL as id, weight 1, passing, no zone, no tags, no meta.
 */
export type StaticEndpoint = string | (Pick<Endpoint, "url"> & Partial<Endpoint>);

/**
 * The list complete and sorted by id. Takes whatever came from users or the network. Throws RangeError for a weight outside 1 to 65535,
 * TypeError for anything else that is no list of endpoints: a URL that is not an http or https origin, ids that repeat.
 */
export function readStaticEndpoints(list: unknown): readonly Endpoint[] {
  if (!Array.isArray(list))
    throw new TypeError(`Cannot list endpoints as they must be a list: received ${shown(list)}`);
  const endpoints = new Map<string, Endpoint>();
  for (const given of list) {
    const endpoint = readEndpoint(isString(given) ? { url: given } : given);
    const { id, url } = endpoint;
    if (endpoints.has(id)) throw new TypeError(`Cannot list ${url} as ids must be unique: received "${id}" twice`);
    endpoints.set(id, endpoint);
  }
  return [...endpoints.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** A list that never changes, for messages. */
export function describeStaticEndpoints(endpoints: readonly Endpoint[]): string {
  return endpoints.length === 0
    ? "an empty static list"
    : `the static list ${endpoints.map(({ url }) => url).join(", ")}`;
}

function readEndpoint(given: unknown): Endpoint {
  if (!isObject(given)) {
    throw new TypeError(
      `Cannot list an endpoint as it must be a URL, or an object with a "url": received ${shown(given)}`,
    );
  }
  const url = readOrigin(given.url);
  const { id = url, weight = 1, health = "passing", zone = "", tags = [], meta = {} } = given;
  const refusal = (name: string, rule: string, received: unknown) =>
    `Cannot list ${url} as "${name}" must be ${rule}: received ${shown(received)}`;
  if (!(typeof weight === "number" && Number.isInteger(weight) && weight >= 1 && weight <= 65535)) {
    throw new RangeError(refusal("weight", "an integer from 1 to 65535", weight));
  }
  if (!isString(id)) throw new TypeError(refusal("id", "text", id));
  if (!isString(zone)) throw new TypeError(refusal("zone", "text", zone));
  if (health !== "passing" && health !== "warning") {
    throw new TypeError(refusal("health", "passing or warning", health));
  }
  if (!isArrayOf(isString)(tags)) throw new TypeError(refusal("tags", "a list of texts", tags));
  if (!isRecordOf(isString)(meta)) throw new TypeError(refusal("meta", "an object of texts", meta));
  return { id, url, weight, health, zone, tags, meta };
}

/** The origin with its port written out. */
function readOrigin(text: unknown): string {
  const url = isString(text) && URL.canParse(text) ? new URL(text) : undefined;
  if (
    url === undefined ||
    (url.protocol !== "http:" && url.protocol !== "https:") ||
    url.pathname !== "/" ||
    `${url.username}${url.password}${url.search}${url.hash}` !== "" ||
    url.port === "0"
  ) {
    // A rejected URL may hold a password: it is not repeated.
    const received = isString(text) && text.includes("@") ? "one with credentials" : shown(text);
    throw new TypeError(
      `Cannot list an endpoint as "url" must be an http or https origin such as http://10.0.0.1:10000: received ${received}`,
    );
  }
  const port = url.port === "" ? (url.protocol === "http:" ? "80" : "443") : url.port;
  return `${url.protocol}//${url.hostname}:${port}`;
}

/** A value in a message. */
function shown(value: unknown): string {
  const text = isString(value) || typeof value === "object" ? JSON.stringify(value) : String(value);
  return text.slice(0, 200);
}
