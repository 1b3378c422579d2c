// Row lictor, client: createBalancedTransport over a static list, under Connect's createClient. Uses nothing but the public entry.
//
// Variants, by --variant:
//   plain     as every row: a deadline and a metadata entry
//   bare      neither
//   dressed   both, and two interceptors
//   counter   as plain, over the same connections, but without discovery, policy or outcome reporting: a counter says who is next

import type { Interceptor, Transport } from "@connectrpc/connect";
import * as lictor from "../../src/index.ts";
import { createConnectCaller, inTurn } from "./connect-caller.ts";
import { runClient } from "./protocol.ts";

const seen = { calls: 0, totalMs: 0 };

const countCalls: Interceptor = (next) => (request) => {
  seen.calls++;
  return next(request);
};

const timeCalls: Interceptor = (next) => async (request) => {
  const startMs = performance.now();
  try {
    return await next(request);
  } finally {
    seen.totalMs += performance.now() - startMs;
  }
};

await runClient(async ({ targets, variant, connector: name }) => {
  const connector = createConnector(name);
  const urls = targets.map((target) => `http://${target}`);
  const balanced = (interceptors: readonly Interceptor[] = []) =>
    lictor.createBalancedTransport({ resolver: lictor.createStaticResolver(urls), connector, interceptors });
  switch (variant) {
    case "plain":
      return createConnectCaller(balanced());
    case "bare":
      return createConnectCaller(balanced(), {});
    case "dressed":
      return createConnectCaller(balanced([countCalls, timeCalls]));
    case "counter":
      return createConnectCaller(inTurn(await Promise.all(urls.map((url) => openConnection(connector, url)))));
    default:
      throw new Error(`lictor has no variant ${variant}`);
  }
});

/** By name, if the entry exports it; without a name the engine's own where there is one. */
function createConnector(name: string | undefined): lictor.Connector {
  const exported: Readonly<Record<string, unknown>> = { ...lictor };
  const own = exported.createHttp2Connector as (() => lictor.Connector) | undefined;
  if (name === "node" || (name === undefined && own === undefined)) return lictor.createNodeHttp2Connector();
  if (own !== undefined && (name === "lictor" || name === undefined)) return own();
  throw new Error(`lictor has no connector ${name}`);
}

function openConnection(connector: lictor.Connector, url: string): Promise<Transport> {
  const endpoint: lictor.Endpoint = { id: url, url, weight: 1, health: "passing", zone: "", tags: [], meta: {} };
  return new Promise((resolve, reject) => {
    const connection = connector(endpoint, {
      onState(state) {
        if (state.type === "ready") resolve(connection.transport);
        if (state.type === "closed") reject(state.reason ?? new Error(`${url} was closed`));
      },
    });
    connection.connect();
  });
}
