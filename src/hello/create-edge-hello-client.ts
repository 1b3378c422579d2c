// The typed client of HelloService on fetch alone: the twin of create-hello-client.ts for Workers and browsers. Reaches no Node module.

import type { Client } from "@connectrpc/connect";
import type { HelloService } from "../../gen/HelloService_proto/hello_service_pb.ts";
import { openEdgeTransport } from "../edge/create-edge-transport.ts";
import type { EdgeTransportOptions } from "../edge/edge-options.ts";
import type { DiscoveryState } from "../edge/endpoint-discovery.ts";
import { createCheckedHello } from "./checked-hello.ts";

/** The generated client, and what it knows of its servers. Nothing needs closing. */
export interface EdgeHelloClient extends Client<typeof HelloService> {
  /** What the client believes now: its endpoints, their age, whether that is stale. Reads nothing. */
  discovery(): DiscoveryState;
}

/** Options of the transport. Where they name no servers, or only the Consul to ask, the service is `HelloService`. */
export interface EdgeHelloClientOptions extends EdgeTransportOptions {
  /** Name in Consul. Default `HelloService`. */
  readonly service?: string;
}

/**
 * Creates a client of HelloService on fetch: `client.sayHello({ name, num1, num2 })`. A string is a target. A `num1` or `num2` that is no
 * int32 fails with `invalid_argument` before anything is sent. SayHello has no side effects: a server that does not answer costs no call while
 * another does. Throws TypeError or RangeError on bad options.
 */
export function createEdgeHelloClient(options: EdgeHelloClientOptions | string = {}): EdgeHelloClient {
  const transport = openEdgeTransport(options, "HelloService");
  return { ...createCheckedHello(transport), discovery: () => transport.discovery() };
}
