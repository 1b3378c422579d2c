import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import { HelloService } from "../../gen/HelloService_proto/hello_service_pb.ts";
import { createHelloService } from "../../src/hello/hello-service.ts";

const address = { host: "localhost", port: 10000 };

describe("createHelloService()", () => {
  test("answers in the words of the original", async () => {
    const client = createClient(HelloService, createRouterTransport(createHelloService({ address })));
    const answer = await client.sayHello({ name: "GrassInWind2019", num1: 1, num2: 2 });
    assert.equal(answer.message, "Hello! GrassInWind2019!This is Server: localhost:10000");
    assert.equal(answer.result, 3);
  });

  for (const [num1, num2, sum] of [
    [2147483647, 1, -2147483648],
    [-2147483648, -1, 2147483647],
    [2147483647, 2147483647, -2],
    [-5, 3, -2],
    [0, 0, 0],
  ] as const) {
    test(`adds ${num1} and ${num2} to ${sum}, as int32 wraps`, async () => {
      const client = createClient(HelloService, createRouterTransport(createHelloService({ address })));
      assert.equal((await client.sayHello({ num1, num2 })).result, sum);
    });
  }

  test("asks for the address with every call", async () => {
    let port = 1;
    const routes = createHelloService({ address: () => ({ host: "a", port: port++ }) });
    const client = createClient(HelloService, createRouterTransport(routes));
    assert.match((await client.sayHello({})).message, /Server: a:1$/);
    assert.match((await client.sayHello({})).message, /Server: a:2$/);
  });

  test("tells onCall the caller's name and the address", async () => {
    const seen: string[] = [];
    const routes = createHelloService({ address, onCall: (name, at) => seen.push(`${name} ${at}`) });
    await createClient(HelloService, createRouterTransport(routes)).sayHello({ name: "me" });
    assert.deepEqual(seen, ["me localhost:10000"]);
  });

  test("uses the address that its server announces where none is given", async () => {
    const announced = { host: "10.0.0.1", port: 7 };
    const server = { address: { host: "0.0.0.0", port: 8, url: "http://0.0.0.0:8", announced } };
    const transport = createRouterTransport((router) => createHelloService()(router, server));
    assert.match((await createClient(HelloService, transport).sayHello({})).message, /Server: 10\.0\.0\.1:7$/);
  });
});
