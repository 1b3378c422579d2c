// The typed client of HelloService over Consul, closeable, so that a script that used it ends by itself.

import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { HelloService } from "../../gen/HelloService_proto/hello_service_pb.ts";
import { type ConsulTransportOptions, createConsulTransport } from "../client/create-consul-transport.ts";

/** The generated client, and the end of it. */
export interface HelloClient extends Client<typeof HelloService> {
  /** Ends the client: see `BalancedTransport.close()`. Idempotent. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Options of the transport; the service's name has a default. */
export interface HelloClientOptions extends Omit<ConsulTransportOptions, "service"> {
  /** Name in Consul. Default `HelloService`. */
  readonly service?: string;
}

/**
 * Creates a client of HelloService that finds its servers in Consul: `client.sayHello({ name, num1, num2 })`.
 * A `num1` or `num2` that is no int32 fails with `invalid_argument` before anything is sent.
 */
export function createHelloClient(options: HelloClientOptions = {}): HelloClient {
  const transport = createConsulTransport({ service: "HelloService", ...options });
  const client = createClient(HelloService, transport);
  return {
    // Checked here and not in an interceptor: an int32 out of range must not cost a wait for Consul.
    async sayHello(request, callOptions) {
      checkInt32("num1", request.num1);
      checkInt32("num2", request.num2);
      return client.sayHello(request, callOptions);
    },
    close: transport.close,
    [Symbol.asyncDispose]: transport[Symbol.asyncDispose],
  };
}

/** An absent number is 0 on the wire. */
function checkInt32(name: string, value: number | undefined): void {
  // `| 0` keeps every int32 and changes everything else, text that looks like one included.
  if (value === undefined || value === (value | 0)) return;
  throw new ConnectError(
    `Cannot call SayHello as "${name}" must be an integer from -2147483648 to 2147483647: received ${value}`,
    Code.InvalidArgument,
  );
}
