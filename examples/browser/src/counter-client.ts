// The typed client of CounterService, by either protocol. The servers are those that the page's own server found in Consul.

import { type Client, createClient } from "@connectrpc/connect";
import {
  createEdgeTransport,
  createSnapshotCache,
  type EdgeTransport,
  parseSnapshot,
  type SnapshotSource,
} from "lictor/edge";
import { CounterService } from "../gen/example/counter/v1/counter_pb.ts";

/** By which protocol the servers are called. */
export type Protocol = "connect" | "grpc-web";

/** A client, and what it knows of the servers. */
export interface CounterClient extends Client<typeof CounterService> {
  readonly discovery: EdgeTransport["discovery"];
}

const source: SnapshotSource = {
  description: "/endpoints.json",
  async read(signal) {
    const response = await fetch("/endpoints.json", { signal });
    if (!response.ok) throw new Error(`/endpoints.json answered ${response.status}: ${await response.text()}`);
    return parseSnapshot(await response.json());
  },
};

// Both protocols take turns over one list.
const cache = createSnapshotCache();

/** Creates a client; it has nothing to close. */
export function createCounterClient(protocol: Protocol): CounterClient {
  const transport = createEdgeTransport({ source, cache, protocol, defaultTimeoutMs: 30_000 });
  return { ...createClient(CounterService, transport), discovery: transport.discovery };
}
