import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { createConsulClient } from "../../src/consul/consul-client.ts";
import { createHelloClient } from "../../src/hello/create-hello-client.ts";
import { createHelloService } from "../../src/hello/hello-service.ts";
import { serve } from "../../src/server/serve.ts";
import { agentKinds } from "../support/agent-kinds.ts";

describe("createHelloClient()", () => {
  test("refuses a number that is no int32 before anything is sent", async () => {
    let requests = 0;
    await using client = createHelloClient({
      consul: {
        fetch: () => {
          requests++;
          return Promise.reject(new Error("Consul was asked"));
        },
      },
    });
    const wrong = [2 ** 31, -(2 ** 31) - 1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53];
    for (const value of wrong) {
      for (const name of ["num1", "num2"]) {
        await assert.rejects(
          client.sayHello({ name: "n", [name]: value }),
          (error) =>
            error instanceof ConnectError &&
            error.code === Code.InvalidArgument &&
            error.rawMessage ===
              `Cannot call SayHello as "${name}" must be an integer from -2147483648 to 2147483647: received ${value}`,
        );
      }
    }
    assert.equal(requests, 0);
  });

  for (const kind of agentKinds) {
    test(`finds HelloService in the ${kind.name} and adds up`, { skip: kind.skip, timeout: 60_000 }, async () => {
      await using agent = await kind.start();
      const consul = createConsulClient(agent.address);
      await using server = serve({ routes: createHelloService(), consul, drainMarginMs: 0 });
      const { port } = await server.ready;
      await server.registration?.registered;
      await using client = createHelloClient({ consul: agent.address });
      const { message, result } = await client.sayHello({ name: "you", num1: 1, num2: 2 });
      assert.equal(message, `Hello! you!This is Server: 127.0.0.1:${port}`);
      assert.equal(result, 3);
      assert.deepEqual([client.status().state, client.status().endpoints.length], ["ready", 1]);
      // The sum wraps as the original's int32 does; an absent number is 0.
      assert.equal((await client.sayHello({ num1: 2 ** 31 - 1, num2: 1 })).result, -(2 ** 31));
      assert.equal((await client.sayHello({ num1: -(2 ** 31) })).result, -(2 ** 31));
    });
  }
});
