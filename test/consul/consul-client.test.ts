import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import {
  asConsulClient,
  type ConsulClientOptions,
  type ConsulFetch,
  createConsulClient,
} from "../../src/consul/consul-client.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";
import { createRecordingLogger } from "../support/recording-logger.ts";

const token = "5ecre7-70ken";
const emptyList: ConsulFetch = async () => new Response("[]");

test("createConsulClient() takes an address, options or nothing", () => {
  assert.equal(createConsulClient().address, "http://127.0.0.1:8500");
  assert.equal(createConsulClient("10.0.0.1:8501").address, "http://10.0.0.1:8501");
  assert.equal(createConsulClient({ address: "https://me:pw@consul.example/x/" }).address, "https://consul.example/x");
});

test("createConsulClient() throws when an option cannot be meant", () => {
  const bad: [options: unknown, kind: typeof TypeError | typeof RangeError][] = [
    ["", TypeError],
    [{ address: "" }, TypeError],
    [{ address: "ftp://x" }, TypeError],
    [{ address: 8500 }, TypeError],
    [{ address: "unix:///run/consul.sock" }, TypeError],
    [{ timeoutMs: 0 }, RangeError],
    [{ timeoutMs: Number.NaN }, RangeError],
    [{ fetch: "fetch" }, TypeError],
    [{ headers: { "bad name": "x" } }, TypeError],
    [{ headers: { name: "bad\nvalue" } }, TypeError],
    [{ datacenter: 1 }, TypeError],
    [{ basicAuth: { username: "a:b", password: "c" } }, TypeError],
    [{ basicAuth: { username: "a" } }, TypeError],
    [{ token: "line\nend" }, TypeError],
    [{ token: 5 }, TypeError],
  ];
  for (const [options, kind] of bad) {
    assert.throws(() => createConsulClient(options as ConsulClientOptions), kind, inspect(options));
  }
});

test("createConsulClient() repeats no secret when it refuses one", () => {
  const bad: ConsulClientOptions[] = [
    { token: `${token}\n` },
    { token: `${token} x` },
    { headers: { Authorization: `${token}\n${token}` } },
    { address: `ftp://me:${token}@x` },
    { basicAuth: { username: "a:b", password: token } },
  ];
  for (const options of bad) {
    assert.throws(
      () => createConsulClient(options),
      (error) => !inspect(error).includes(token),
      inspect(options),
    );
  }
});

test("asConsulClient() passes a client through and makes one of anything else", () => {
  const client = createConsulClient();
  assert.equal(asConsulClient(client), client);
  assert.equal(asConsulClient(undefined).address, "http://127.0.0.1:8500");
  assert.equal(asConsulClient("[::1]:1").address, "http://[::1]:1");
  assert.equal(asConsulClient({ address: "https://x" }).address, "https://x");
});

test("identity is equal only when two clients would get the same answers", () => {
  const ask = () => token;
  const fetch: ConsulFetch = async () => new Response();
  const base: ConsulClientOptions = { address: "http://127.0.0.1:8500", token };
  const identity = (options: ConsulClientOptions) => createConsulClient(options).identity;
  assert.equal(identity(base), identity({ ...base, address: "127.0.0.1:8500/", timeoutMs: 5 }));
  assert.equal(identity({ headers: { a: "1", b: "2" } }), identity({ headers: { b: "2", a: "1" } }));
  assert.equal(identity({ token: ask }), identity({ token: ask }));
  assert.equal(identity({ fetch }), identity({ fetch }));
  assert.equal(
    identity({ address: "http://u:p@127.0.0.1:8500" }),
    identity({ basicAuth: { username: "u", password: "p" } }),
  );
  const others: ConsulClientOptions[] = [
    base,
    { ...base, address: "http://127.0.0.1:8501" },
    { ...base, token: "other" },
    { ...base, token: ask },
    { ...base, token: () => token },
    { ...base, datacenter: "dc2" },
    { ...base, namespace: "dc2" },
    { ...base, partition: "dc2" },
    { ...base, basicAuth: { username: "u", password: "p" } },
    { ...base, headers: { a: "1" } },
    { ...base, fetch },
    { ...base, fetch: async () => new Response() },
    { ...base, clock: createManualClock() },
  ];
  assert.equal(new Set(others.map(identity)).size, others.length);
});

test("createConsulClient() throws TypeError for what are no options", () => {
  for (const options of [5, null, true, () => {}]) {
    assert.throws(() => createConsulClient(options as never), {
      name: "TypeError",
      message: /^Cannot create a Consul client as it must be given options or an address: received /,
    });
  }
});

test("a client shows no secret when it is printed or serialized", () => {
  const client = createConsulClient({ token, basicAuth: { username: "u", password: `${token}-2` } });
  assert.ok(!inspect(client, { depth: 5 }).includes(token));
  assert.ok(!JSON.stringify(client).includes(token));
  assert.ok(client.identity.includes(token));
});

test("createConsulClient() warns once when credentials would cross a network in clear", async () => {
  const logger = createRecordingLogger();
  const fetch = emptyList;
  const client = createConsulClient({ address: "http://10.0.0.1:8500", token, logger, fetch });
  assert.equal(logger.count("in clear"), 1);
  await client.catalog.datacenters();
  await client.catalog.datacenters();
  assert.equal(logger.lines.length, 1);
  assert.equal(logger.lines[0]?.level, "warn");
  assert.equal(logger.lines[0]?.fields.consul, "http://10.0.0.1:8500");
  assert.ok(!inspect(logger.lines, { depth: 5 }).includes(token));

  createConsulClient({ address: "http://10.0.0.1", basicAuth: { username: "u", password: token }, logger });
  createConsulClient({ address: `http://u:${token}@10.0.0.1`, logger });
  assert.equal(logger.lines.length, 3);
});

test("createConsulClient() warns at the first request that has a token when a function gives it", async () => {
  const logger = createRecordingLogger();
  let current: string | undefined;
  const client = createConsulClient({ address: "consul.example", token: () => current, logger, fetch: emptyList });
  await client.catalog.datacenters();
  assert.equal(logger.lines.length, 0);
  current = token;
  await client.catalog.datacenters();
  await client.catalog.datacenters();
  assert.equal(logger.lines.length, 1);
});

test("createConsulClient() does not warn when nothing secret leaves the host in clear", async () => {
  const logger = createRecordingLogger();
  const fetch = emptyList;
  const quiet: ConsulClientOptions[] = [
    { address: "http://127.0.0.1:8500", token },
    { address: "http://localhost:8500", token },
    { address: "[::1]:8500", token },
    { address: "https://consul.example", token },
    { address: "unix:///run/consul.sock", token },
    { address: "http://10.0.0.1:8500" },
    { address: "http://10.0.0.1:8500", token: "" },
  ];
  for (const options of quiet) await createConsulClient({ ...options, logger, fetch }).catalog.datacenters();
  assert.deepEqual(logger.lines, []);
});
