// HelloService, the reference service: its two fields of an answer, to the letter of the Go system it replaces. Knows no network.

import type { ConnectRouter } from "@connectrpc/connect";
import { HelloService } from "../../gen/HelloService_proto/hello_service_pb.ts";
import type { HostPort } from "../core/host-port.ts";
import type { ServerAddress } from "../server/server.ts";

/** Who the service says it is, and whom it tells of calls. */
export interface HelloServiceOptions {
  /** The instance's address, as in its Consul entry. Default: what the server announces. A function is asked with every call. */
  readonly address?: HostPort | (() => HostPort);
  /** Told of every call before it is answered: the caller's name as it gave it, and `host:port` of this instance. */
  readonly onCall?: (name: string, address: string) => void;
}

/** The part of a server that the service asks. */
interface AddressedServer {
  readonly address: ServerAddress | undefined;
}

/**
 * Creates the routes of HelloService, to be given to `serve`. SayHello answers
 * `Hello! <name>!This is Server: <host>:<port>` and num1 + num2, wrapping at 32 bits.
 */
export function createHelloService(
  options: HelloServiceOptions = {},
): (router: ConnectRouter, server?: AddressedServer) => void {
  return (router, server) => {
    router.service(HelloService, {
      sayHello({ name, num1, num2 }) {
        // Joined as the original does, with no brackets of its own: the text is the Consul entry's address and port.
        const { host, port } = resolveAddress(options.address, server);
        const address = `${host}:${port}`;
        options.onCall?.(name, address);
        return { message: `Hello! ${name}!This is Server: ${address}`, result: (num1 + num2) | 0 };
      },
    });
  };
}

function resolveAddress(
  address: HostPort | (() => HostPort) | undefined,
  server: AddressedServer | undefined,
): HostPort {
  const resolved = typeof address === "function" ? address() : (address ?? server?.address?.announced);
  if (resolved === undefined) {
    throw new TypeError(
      'Cannot say hello as "address" must be given where the routes are not served by serve(): received none',
    );
  }
  return resolved;
}
