// Our own server with EchoService, on a free loopback port, and what registers it by hand, heartbeat or not.

import type { AgentServiceCheck, CheckStatus } from "../../src/consul/agent.ts";
import type { ConsulClient } from "../../src/consul/consul-client.ts";
import { serve } from "../../src/server/serve.ts";
import type { ServeOptions } from "../../src/server/serve-options.ts";
import type { DrainReport, ServerAddress } from "../../src/server/server.ts";
import { createEchoService } from "./echo-service.ts";

/** A server that serves. */
export interface EchoServer extends AsyncDisposable {
  /** The name in its answers. */
  readonly name: string;
  readonly address: ServerAddress;
  /** Calls that reached a handler. */
  readonly calls: number;
  close(): Promise<DrainReport>;
}

/** Starts a server; resolves when it serves. Told to leave, it leaves without waiting for pollers. */
export async function startEchoServer(
  name: string,
  options: Omit<Partial<ServeOptions>, "routes"> = {},
): Promise<EchoServer> {
  let calls = 0;
  const onCall = () => {
    calls++;
  };
  const server = serve({
    drainMarginMs: 50,
    graceMs: 2000,
    ...options,
    routes: createEchoService({ server: name, onCall }),
  });
  return {
    name,
    address: await server.ready,
    get calls() {
      return calls;
    },
    close: () => server.close(),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** One server for each name. */
export function startEchoServers(...names: string[]): Promise<EchoServer[]> {
  return Promise.all(names.map((name) => startEchoServer(name)));
}

/** How an instance is registered by hand. */
export interface InstanceOptions {
  readonly service: string;
  readonly id: string;
  readonly port: number;
  /** Empty: the node's address counts. Default 127.0.0.1. */
  readonly host?: string;
  /** Default passing. */
  readonly status?: CheckStatus;
  /** Time that the status holds without a heartbeat; nobody sends one. Default `10m`. */
  readonly ttl?: string;
}

/** Registers an instance with a TTL check in one call; resolves when Consul lists it. */
export async function registerInstance(consul: ConsulClient, options: InstanceOptions): Promise<void> {
  const { service, id, port, host = "127.0.0.1", status = "passing", ttl = "10m" } = options;
  const check: AgentServiceCheck = { CheckID: `service:${id}`, TTL: ttl, Status: status };
  await consul.agent.registerService({ ID: id, Name: service, Address: host, Port: port, Check: check });
}
