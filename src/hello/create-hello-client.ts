// The typed client of HelloService over Consul, closeable, so that a script that used it ends by itself.

import type { Client } from "@connectrpc/connect";
import type { HelloService } from "../../gen/HelloService_proto/hello_service_pb.ts";
import { type ConsulTransportSettings, openConsulTransport } from "../client/create-consul-transport.ts";
import type { TransportStatus } from "../transport/pool/transport-status.ts";
import { createCheckedHello } from "./checked-hello.ts";

/** The generated client, what there is to say of it, and its end. */
export interface HelloClient extends Client<typeof HelloService> {
  /** What it knows of its servers now: see `BalancedTransport.status()`. */
  status(): TransportStatus;
  /** Ends the client: see `BalancedTransport.close()`. Idempotent. */
  close(): Promise<void>;
  /** The same as `close()`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Options of the transport; the service's name has a default. */
export interface HelloClientOptions extends ConsulTransportSettings {
  /** Name in Consul. Default `HelloService`. */
  readonly service?: string;
  /** In place of options: `consul://host:8500/HelloService?tag=v2`, see `parseTarget`; a service it leaves out is that of `service`. What it says, no option may say too. */
  readonly target?: string;
}

/**
 * Creates a client of HelloService that finds its servers in Consul: `client.sayHello({ name, num1, num2 })`. A string is a
 * target. A `num1` or `num2` that is no int32 fails with `invalid_argument` before anything is sent.
 */
export function createHelloClient(options: HelloClientOptions | string = {}): HelloClient {
  const transport = openConsulTransport(options, "HelloService");
  return {
    ...createCheckedHello(transport),
    status: transport.status,
    close: transport.close,
    [Symbol.asyncDispose]: transport[Symbol.asyncDispose],
  };
}
