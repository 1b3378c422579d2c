// What an isolate knows of a service: plain JSON, so that it can come from Consul, a KV store, another isolate or a file.
// Checks it where it comes in; does no I/O.

import { isArrayOf, isObject, isRecordOf, isString } from "../consul/json-shape.ts";
import type { Endpoint } from "../core/endpoint.ts";
import { readStaticEndpoints, type StaticEndpoint } from "../resolver/static-endpoint.ts";

/** All endpoints of a service at one time: a full list, never a delta. Plain data, as JSON holds it. */
export interface EndpointSnapshot {
  /** Sorted by id, ids unique; may be empty. */
  readonly endpoints: readonly Endpoint[];
  /** When the list was last known to be true, in Unix milliseconds. */
  readonly confirmedAtMs: number;
}

/** Where snapshots come from. Keeps nothing: the cache does. */
export interface SnapshotSource {
  /** What is asked of whom, for messages: `service "HelloService" of Consul at https://consul.example`. Holds no secret. */
  readonly description: string;
  /**
   * What the cache knows the source by: two with the same text share what they found. Without one a source is known by being the same object.
   * A source that is made anew in every request needs one, or it never finds what the request before had read.
   */
  readonly identity?: string;
  /** Reads the list once, now. What it resolves with is checked as `parseSnapshot` does. Rejects where it cannot read; the caller keeps what it has. */
  read(signal: AbortSignal): Promise<EndpointSnapshot>;
}

/**
 * Reads a snapshot out of parsed JSON, from wherever it came. Its endpoints may be URLs (`"https://10.0.0.1:8443"`), or objects of which all
 * but `url` may be left out; the result is complete and sorted. Throws TypeError for anything else.
 */
export function parseSnapshot(json: unknown): EndpointSnapshot {
  if (!isObject(json)) throw refusal("it must be an object", typeof json);
  const { endpoints, confirmedAtMs } = json;
  if (typeof confirmedAtMs !== "number" || !Number.isFinite(confirmedAtMs)) {
    throw refusal('"confirmedAtMs" must be a time in Unix milliseconds', JSON.stringify(confirmedAtMs));
  }
  if (!isArrayOf(isEndpoint)(endpoints)) {
    throw refusal('"endpoints" must be a list of URLs, or of objects with a "url"', JSON.stringify(endpoints));
  }
  return { endpoints: readStaticEndpoints(endpoints), confirmedAtMs };
}

/** The shape alone; what the texts say is checked by who reads them. */
function isEndpoint(value: unknown): value is StaticEndpoint {
  if (isString(value)) return true;
  if (!isObject(value) || !isString(value.url)) return false;
  const { id = "", zone = "", weight = 1, health = "passing", tags = [], meta = {} } = value;
  return (
    isString(id) &&
    isString(zone) &&
    Number.isInteger(weight) &&
    Number(weight) >= 1 &&
    Number(weight) <= 65535 &&
    (health === "passing" || health === "warning") &&
    isArrayOf(isString)(tags) &&
    isRecordOf(isString)(meta)
  );
}

function refusal(rule: string, received: string | undefined): TypeError {
  return new TypeError(`Cannot use a snapshot as ${rule}: received ${(received ?? "none").slice(0, 200)}`);
}
