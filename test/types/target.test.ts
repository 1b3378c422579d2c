// What the compiler must take and refuse where a service is named by its name or by a target. Checked by `npm run types`: a
// directive that finds no error is one. Nothing is called.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type ConsulTransportOptions, createConsulTransport } from "../../src/client/create-consul-transport.ts";
import * as edge from "../../src/edge.ts";
import { createHelloClient, type HelloClientOptions } from "../../src/hello/create-hello-client.ts";
import { type InstanceQuery, type ParsedTarget, parseTarget } from "../../src/index.ts";

const target = "consul://h/S";

/** Never run. */
const typeChecks: readonly (() => unknown)[] = [
  () => createConsulTransport(target),
  () => createConsulTransport({ service: "S" }),
  () => createConsulTransport({ target, consul: { token: "t" }, tls: { ca: "" }, near: "n" }),
  // What is typed by its name is taken, whichever way it names the service.
  (options: ConsulTransportOptions = { service: "S" }) => createConsulTransport(options),
  // @ts-expect-error: neither service nor target.
  () => createConsulTransport({ consul: "h" }),
  // @ts-expect-error: both.
  () => createConsulTransport({ service: "S", target }),
  // @ts-expect-error: the endpoints' scheme is `tls`, or the target's.
  () => createConsulTransport({ target, scheme: "https" }),
  // @ts-expect-error: nothing at all.
  () => createConsulTransport(),
  () => createHelloClient(),
  () => createHelloClient(target),
  (options: HelloClientOptions = { target }) => createHelloClient(options),
  () => createHelloClient({ target, consul: { token: "t" } }),
  (): ParsedTarget => parseTarget(target, { defaultService: "S" }),
  (): edge.ParsedTarget => edge.parseTarget(target),
  (query: InstanceQuery = { service: "S" }): edge.InstanceQuery => query,
  // @ts-expect-error: what a target says of the agent never holds a token.
  () => parseTarget(target).consul.token,
];

test("the types of targets are checked by the compiler", () => {
  assert.ok(typeChecks.every((check) => typeof check === "function"));
});
