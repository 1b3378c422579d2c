// The key-value API over HTTP: paths, parameters and values of kv.ts. https://developer.hashicorp.com/consul/api-docs/kv

import { isArrayOf, isBoolean, isObject, isString, type JsonObject } from "../core/json-shape.ts";
import { keyPath } from "./api-path.ts";
import type { ConsulKv, KvEntry } from "./kv.ts";
import type { QueryOptions } from "./query.ts";
import { queryParameters, toQueryResult } from "./query-request.ts";
import type { ConsulAnswer, ConsulRequest, SendRequest } from "./request.ts";
import { watchKey } from "./watch-key.ts";

/** Creates the key-value API of a client. */
export function createKvApi(send: SendRequest): ConsulKv {
  const read = (action: string, path: string, options: QueryOptions, recurse: boolean): Promise<ConsulAnswer> => {
    const { query, ...limit } = queryParameters(options);
    return send({ action, method: "GET", path, query: { ...query, recurse }, options, isAnswer: isAbsent, ...limit });
  };
  const kv: ConsulKv = {
    async get(key, options = {}) {
      const answer = await read("read a key", onePath(key), options, false);
      const rows = answer.status === 404 ? [] : answer.json(isArrayOf(isRow));
      return toQueryResult(rows[0] === undefined ? undefined : toEntry(rows[0]), answer);
    },
    async list(prefix, options = {}) {
      const answer = await read("list keys", `/v1/kv/${keyPath(prefix)}`, options, true);
      const rows = answer.status === 404 ? [] : answer.json(isArrayOf(isRow));
      return toQueryResult(rows.map(toEntry).sort(byKey), answer);
    },
    async put(key, value, options = {}) {
      const query = { cas: wholeNumber("cas", options.cas), flags: wholeNumber("flags", options.flags) };
      const answer = await send({
        action: "write a key",
        method: "PUT",
        path: onePath(key),
        query,
        body: value,
        options,
      });
      return answer.json(isBoolean);
    },
    async delete(key, options = {}) {
      const { recurse = false, cas } = options;
      if (recurse && cas !== undefined) {
        throw new TypeError('Cannot delete keys as "cas" and "recurse" exclude each other');
      }
      const path = recurse ? `/v1/kv/${keyPath(key)}` : onePath(key);
      const query = { cas: wholeNumber("cas", cas), recurse };
      const answer = await send({ action: "delete a key", method: "DELETE", path, query, options });
      return answer.json(isBoolean);
    },
    watch: (key, options) => watchKey(kv, key, options),
  };
  return kv;
}

/** A key that does not exist is an answer, with an index to wait on; a 404 of anything but Consul's store has none. */
const isAbsent: NonNullable<ConsulRequest["isAnswer"]> = (status, headers) =>
  status === 404 && headers.has("X-Consul-Index");

/** The path of exactly one key. */
function onePath(key: string): string {
  if (key === "") throw new TypeError("Cannot name a key to Consul as it must not be empty");
  return `/v1/kv/${keyPath(key)}`;
}

interface Row extends JsonObject {
  readonly Key: string;
  readonly Value: string | null;
  readonly Flags: number;
  readonly CreateIndex: number;
  readonly ModifyIndex: number;
  readonly Session?: string;
}

function isRow(value: unknown): value is Row {
  if (!isObject(value) || !isString(value.Key)) return false;
  if (value.Value !== null && !(isString(value.Value) && base64.test(value.Value))) return false;
  return [value.Flags, value.CreateIndex, value.ModifyIndex].every((number) => typeof number === "number");
}

const base64 = /^[A-Za-z0-9+/]*={0,2}$/;

function toEntry(row: Row): KvEntry {
  // Consul sends null for an empty value.
  const binary = atob(row.Value ?? "");
  return {
    key: row.Key,
    value: Uint8Array.from(binary, (character) => character.charCodeAt(0)),
    flags: row.Flags,
    createIndex: row.CreateIndex,
    modifyIndex: row.ModifyIndex,
    session: isString(row.Session) && row.Session !== "" ? row.Session : undefined,
  };
}

function byKey(a: KvEntry, b: KvEntry): number {
  return a.key < b.key ? -1 : a.key > b.key ? 1 : 0;
}

function wholeNumber(name: string, value: number | undefined): string | undefined {
  if (value === undefined) return undefined;
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`Cannot write a key as "${name}" must be an integer from 0 to 2^53-1: received ${value}`);
  }
  return String(value);
}
