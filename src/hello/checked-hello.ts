// The generated client of HelloService, with its numbers checked before anything is sent. Knows no network: a transport is given.

import { type Client, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { HelloService } from "../../gen/HelloService_proto/hello_service_pb.ts";

/** Creates a client whose `num1` and `num2` fail with `invalid_argument` where they are no int32. */
export function createCheckedHello(transport: Transport): Client<typeof HelloService> {
  const client = createClient(HelloService, transport);
  return {
    // Checked here and not in an interceptor: an int32 out of range must not cost a wait for Consul.
    async sayHello(request, callOptions) {
      checkInt32("num1", request.num1);
      checkInt32("num2", request.num2);
      return client.sayHello(request, callOptions);
    },
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
