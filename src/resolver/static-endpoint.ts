// Endpoints as people write them: a URL, or what differs from the defaults. Checks and completes them; does no I/O.

import { describeAddress, describeValue } from "../core/describe-value.ts";
import type { Endpoint } from "../core/endpoint.ts";
import { isArrayOf, isObject, isRecordOf, isString } from "../core/json-shape.ts";

/**
 * A URL (`http://10.0.0.1:10000`; without a port the scheme's default), or an endpoint of which all but the URL may be left out.
 * Defaults: the URL as id, weight 1, passing, no zone, no tags, no meta.
 */
export type StaticEndpoint = string | (Pick<Endpoint, "url"> & Partial<Endpoint>);

/**
 * The list complete and sorted by id. Takes whatever came from users or the network. Throws RangeError for a weight outside 1 to 65535,
 * TypeError for anything else that is no list of endpoints: a URL that is not an http or https origin, ids that repeat. Both say which
 * element is wrong and what it should be, and repeat nothing that may be a secret.
 */
export function readStaticEndpoints(list: unknown): readonly Endpoint[] {
  if (!Array.isArray(list)) {
    throw new TypeError(`Cannot list endpoints as they must be a list: received ${describeValue(list)}`);
  }
  const endpoints: Endpoint[] = [];
  const indexes = new Map<string, number>();
  for (const [index, given] of list.entries()) {
    const name = `endpoints[${index}]`;
    const endpoint = readEndpoint(isString(given) ? { url: given } : given, name);
    const twin = indexes.get(endpoint.id);
    if (twin !== undefined) {
      throw new TypeError(`Cannot list ${name} as ids must be unique: received that of endpoints[${twin}]`);
    }
    indexes.set(endpoint.id, index);
    endpoints.push(endpoint);
  }
  return endpoints.sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** A list that never changes, for messages. */
export function describeStaticEndpoints(endpoints: readonly Endpoint[]): string {
  return endpoints.length === 0
    ? "an empty static list"
    : `the static list ${endpoints.map(({ url }) => url).join(", ")}`;
}

function readEndpoint(given: unknown, name: string): Endpoint {
  if (!isObject(given)) {
    throw new TypeError(
      `Cannot list ${name} as it must be a URL, or an object with a "url": received ${describeValue(given)}`,
    );
  }
  const url = readOrigin(given.url, name);
  const { id = url, weight = 1, health = "passing", zone = "", tags = [], meta = {} } = given;
  const refusal = (option: string, rule: string, received: string) =>
    `Cannot list ${name} as "${option}" must be ${rule}: received ${received}`;
  if (!(typeof weight === "number" && Number.isInteger(weight) && weight >= 1 && weight <= 65535)) {
    throw new RangeError(refusal("weight", "an integer from 1 to 65535", describeValue(weight)));
  }
  if (!isString(id)) throw new TypeError(refusal("id", "text", describeValue(id)));
  if (!isString(zone)) throw new TypeError(refusal("zone", "text", describeValue(zone)));
  if (health !== "passing" && health !== "warning") {
    throw new TypeError(
      refusal("health", "passing or warning", isString(health) ? "another text" : describeValue(health)),
    );
  }
  if (!isArrayOf(isString)(tags)) throw new TypeError(refusal("tags", "a list of texts", describeFirstOther(tags)));
  if (!isRecordOf(isString)(meta)) throw new TypeError(refusal("meta", "an object of texts", describeFirstOther(meta)));
  return { id, url, weight, health, zone, tags, meta };
}

/** The origin with its port written out. */
function readOrigin(text: unknown, name: string): string {
  const url = isString(text) && URL.canParse(text) ? new URL(text) : undefined;
  if (
    url === undefined ||
    (url.protocol !== "http:" && url.protocol !== "https:") ||
    url.pathname !== "/" ||
    `${url.username}${url.password}${url.search}${url.hash}` !== "" ||
    url.port === "0"
  ) {
    // What is no URL at all may be anything, a token too.
    const isUrl = isString(text) && /^[a-z][a-z0-9+.-]*:\/\//i.test(text);
    const received = isUrl
      ? JSON.stringify(describeAddress(text))
      : isString(text)
        ? "text without ://"
        : describeValue(text);
    throw new TypeError(
      `Cannot list ${name} as "url" must be an http or https origin such as http://10.0.0.1:10000: received ${received}`,
    );
  }
  const port = url.port === "" ? (url.protocol === "http:" ? "80" : "443") : url.port;
  return `${url.protocol}//${url.hostname}:${port}`;
}

/** The kind of what should hold texts alone, or of the first thing in it that is none. */
function describeFirstOther(value: unknown): string {
  if (typeof value !== "object" || value === null) return describeValue(value);
  const values: readonly unknown[] = Object.values(value);
  const index = values.findIndex((one) => !isString(one));
  return index === -1 ? describeValue(value) : `${describeValue(values[index])} at ${index}`;
}
