// What an isolate knows of a service: plain JSON, so that it can come from Consul, a KV store, another isolate or a file.
// Checks it where it comes in; does no I/O.

import { describeValue } from "../core/describe-value.ts";
import type { Endpoint } from "../core/endpoint.ts";
import { isBoolean, isObject } from "../core/json-shape.ts";
import { readStaticEndpoints } from "../resolver/static-endpoint.ts";

/** All endpoints of a service at one time: a full list, never a delta. Plain data, as JSON holds it. */
export interface EndpointSnapshot {
  /** Sorted by id, ids unique; may be empty. */
  readonly endpoints: readonly Endpoint[];
  /** When the list was last known to be true, in Unix milliseconds. */
  readonly confirmedAtMs: number;
  /** True where whoever made the snapshot could not read the list now, or did not believe the empty one that it read. Default false. */
  readonly stale?: boolean;
  /**
   * True where whoever made the snapshot has waited out the grace of an empty list (90 s): it is believed at once then. Otherwise an empty
   * list after one that was not is given its grace by who reads it. Default false.
   */
  readonly isGraceOver?: boolean;
}

/** Where snapshots come from. Keeps nothing: the cache does. */
export interface SnapshotSource {
  /** What is asked of whom, for messages: `service "HelloService" of Consul at https://consul.example`. Holds no secret. */
  readonly description: string;
  /**
   * What the cache knows the source by: two with the same text share what they found. Asked for with every call, so that it may follow
   * whose rights are used. Without one a source is known by being the same object. A source that is made anew in every request needs
   * one, or it never finds what the request before had read.
   */
  readonly identity?: string;
  /**
   * Reads the list once, now. What it resolves with is checked as `parseSnapshot` does; a list that is older than the one known, by
   * `confirmedAtMs`, replaces nothing. Rejects where it cannot read; the caller keeps what it has. `warned` is the cache's: what the
   * sources of this identity have warned of, for those who warn once. They change it.
   */
  read(signal: AbortSignal, warned?: Set<string>): Promise<EndpointSnapshot>;
}

/**
 * Reads a snapshot out of parsed JSON, from wherever it came. Its endpoints may be URLs (`"https://10.0.0.1:8443"`), or objects of which
 * all but `url` may be left out; the result is complete and sorted. Throws TypeError for anything else, which says what element is wrong
 * and repeats no more of it than a URL without credentials and query.
 */
export function parseSnapshot(json: unknown): EndpointSnapshot {
  if (!isObject(json)) throw refusal("it must be an object", json);
  const { confirmedAtMs, stale, isGraceOver } = json;
  if (typeof confirmedAtMs !== "number" || !Number.isFinite(confirmedAtMs)) {
    throw refusal('"confirmedAtMs" must be a time in Unix milliseconds', confirmedAtMs);
  }
  for (const [name, value] of Object.entries({ stale, isGraceOver })) {
    if (value !== undefined && !isBoolean(value)) throw refusal(`"${name}" must be true or false`, value);
  }
  const endpoints = readEndpoints(json.endpoints);
  return { endpoints, confirmedAtMs, ...(stale === true && { stale }), ...(isGraceOver === true && { isGraceOver }) };
}

/** One class of error for whatever is wrong with what came in. */
function readEndpoints(list: unknown): readonly Endpoint[] {
  try {
    return readStaticEndpoints(list);
  } catch (error) {
    throw error instanceof RangeError ? new TypeError(error.message, { cause: error }) : error;
  }
}

function refusal(rule: string, received: unknown): TypeError {
  return new TypeError(`Cannot use a snapshot as ${rule}: received ${describeValue(received)}`);
}
