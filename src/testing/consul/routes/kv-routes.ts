// /v1/kv: https://developer.hashicorp.com/consul/api-docs/kv. Without sessions: locks are refused.

import type { Authorizer } from "../acl.ts";
import type { CatalogRead } from "../catalog.ts";
import type { KvRecord } from "../kv-store.ts";
import type { Indexed } from "../model.ts";
import { jsonReply, type Reply, ReplyError } from "../reply.ts";
import { answerQuery, filterByAcls, type QueryRead } from "./query.ts";
import { type AgentRequest, checkDatacenter, type Route } from "./route.ts";

/** The routes under /v1/kv. */
export const kvRoutes: readonly Route[] = [{ path: "kv/", methods: { GET: get, PUT: put, DELETE: remove } }];

const maxValueBytes = 524_288;

type Headers = Readonly<Record<string, string>>;

function get(request: AgentRequest): Promise<Reply> {
  const { query } = request;
  if (query.has("keys")) return getKeys(request);
  if (query.has("recurse")) return getPrefix(request);
  return getOne(request);
}

function getOne(request: AgentRequest): Promise<Reply> {
  const { core, name, query } = request;
  return answerQuery<Indexed<KvRecord> | undefined>(
    request,
    () => {
      if (name === "") throw new ReplyError(400, "Missing key name");
      return (authorizer) => {
        authorizer.demand("read", "key", name, true);
        return core.kv.get(name);
      };
    },
    {
      isKv: true,
      reply(record, headers) {
        if (record === undefined) return missing(headers);
        return query.has("raw") ? rawReply(record, headers) : recordsReply([record], headers);
      },
    },
  );
}

function getPrefix(request: AgentRequest): Promise<Reply> {
  const { core, name } = request;
  return answerQuery<readonly Indexed<KvRecord>[]>(
    request,
    () => (authorizer) => visible(core.kv.list(name), authorizer),
    {
      isKv: true,
      reply: (records, headers) => (records.length === 0 ? missing(headers) : recordsReply(records, headers)),
    },
  );
}

function getKeys(request: AgentRequest): Promise<Reply> {
  const { core, name, query } = request;
  return answerQuery<readonly Indexed<KvRecord>[]>(
    request,
    () => (authorizer) => visible(core.kv.list(name), authorizer),
    {
      isKv: true,
      reply(records, headers) {
        // Under the root there is always a list, if an empty one.
        if (records.length === 0 && name !== "") return missing(headers);
        const keys = records.map((record) => upTo(record.key, query.get("separator") ?? "", name.length));
        return jsonReply([...new Set(keys)], headers);
      },
    },
  );
}

function visible(
  read: CatalogRead<readonly Indexed<KvRecord>[]>,
  authorizer: Authorizer,
): QueryRead<readonly Indexed<KvRecord>[]> {
  const { values, isFilteredByAcls } = filterByAcls(read.data, ({ key }) => authorizer.can("read", "key", key));
  return { ...read, data: values, isFilteredByAcls };
}

function put(request: AgentRequest): Reply {
  const { core, name, query, body, contentLength } = request;
  checkKey(request);
  checkDatacenter(request);
  const flags = parseUint(query.get("flags"));
  const cas = parseUint(query.get("cas"));
  refuseSessions(query);
  if (Math.max(contentLength ?? 0, body.length) > maxValueBytes) {
    throw new ReplyError(
      413,
      `Request body(${contentLength ?? body.length} bytes) too large, max size: ${maxValueBytes} bytes. ` +
        "See https://www.consul.io/docs/agent/options.html#kv_max_value_size.",
    );
  }
  core.leadership.demand();
  core.acl.authorize(request.secret).demand("write", "key", name, true);
  const record = { key: name, value: body, flags: flags ?? 0n };
  return jsonReply(core.kv.put(record, cas === undefined ? undefined : Number(cas)));
}

function remove(request: AgentRequest): Reply {
  const { core, name, query, secret } = request;
  core.leadership.demand();
  const isRecursive = query.has("recurse");
  if (!isRecursive) checkKey(request);
  checkDatacenter(request);
  if (isRecursive && query.has("cas")) {
    throw new ReplyError(400, `Conflicting flags: cas=${query.get("cas")}&recurse=${query.get("recurse")}`);
  }
  const cas = parseUint(query.get("cas"));
  const authorizer = core.acl.authorize(secret);
  if (!isRecursive) {
    authorizer.demand("write", "key", name, true);
    return jsonReply(core.kv.delete(name, cas === undefined ? undefined : Number(cas)));
  }
  if (!authorizer.canWritePrefix(name)) throw new ReplyError(403, "Permission denied");
  core.kv.deleteAll(name);
  return jsonReply(true);
}

function checkKey({ name }: AgentRequest): void {
  if (name === "") throw new ReplyError(400, "Missing key name");
}

function refuseSessions(query: URLSearchParams): void {
  for (const name of ["acquire", "release"]) {
    if (query.has(name))
      throw new ReplyError(400, `The embedded agent has no sessions: "${name}" needs a real Consul agent`);
  }
}

/** Go's strconv.ParseUint; undefined where the parameter is absent. */
function parseUint(text: string | null): bigint | undefined {
  if (text === null) return undefined;
  if (!/^[0-9]+$/.test(text)) throw new ReplyError(500, `strconv.ParseUint: parsing "${text}": invalid syntax`);
  const value = BigInt(text);
  if (value >= 1n << 64n) throw new ReplyError(500, `strconv.ParseUint: parsing "${text}": value out of range`);
  return value;
}

/** A key up to and with the first separator after its prefix, or the whole key. */
function upTo(key: string, separator: string, prefixLength: number): string {
  const end = separator === "" ? -1 : key.indexOf(separator, prefixLength);
  return end === -1 ? key : key.slice(0, end + separator.length);
}

/** No such key: 404, but with an index to wait on. */
function missing(headers: Headers): Reply {
  return { status: 404, headers, body: "" };
}

function rawReply(record: KvRecord, headers: Headers): Reply {
  const safe = { "Content-Security-Policy": "sandbox", "X-Content-Type-Options": "nosniff" };
  return { status: 200, headers: { ...headers, ...safe, "Content-Type": "text/plain" }, body: record.value };
}

function recordsReply(records: readonly Indexed<KvRecord>[], headers: Headers): Reply {
  // Flags have 64 bits, so they are written by hand.
  const items = records.map(({ key, value, flags, createIndex, modifyIndex }) => {
    const encoded = value.length === 0 ? "null" : `"${Buffer.from(value).toString("base64")}"`;
    const indexes = `"CreateIndex":${createIndex},"ModifyIndex":${modifyIndex}`;
    return `{"LockIndex":0,"Key":${JSON.stringify(key)},"Flags":${flags},"Value":${encoded},${indexes}}`;
  });
  return { status: 200, headers: { ...headers, "Content-Type": "application/json" }, body: `[${items.join(",")}]` };
}
