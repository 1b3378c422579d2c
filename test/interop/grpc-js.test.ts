// @grpc/grpc-js, with the .proto files and no generated code, calls our server on every runtime.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Client, credentials, loadPackageDefinition, type ServiceError, status } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { type ConsulProcess, realConsulSkip, startConsul } from "../support/consul-agent.ts";
import { projectFolder, runtimeNames } from "../tools/runtimes.ts";
import { startOurServer } from "./programs.ts";

interface HelloAnswer {
  readonly message: string;
  readonly result: number;
}

type UnaryCall<I, O> = (request: I, callback: (error: ServiceError | null, answer: O) => void) => void;
type HelloStub = Client & {
  sayHello: UnaryCall<{ name: string; num1: number; num2: number }, HelloAnswer>;
};
type HealthStub = Client & { check: UnaryCall<{ service: string }, { status: string }> };
type Stub<T> = new (address: string, channelCredentials: ReturnType<typeof credentials.createInsecure>) => T;

const options = { includeDirs: [`${projectFolder}proto`], enums: String, defaults: true };
const definition = loadSync(["HelloService_proto/hello_service.proto", "grpc/health/v1/health.proto"], options);
// What grpc-js makes of a .proto file has no types of its own.
const stubs = loadPackageDefinition(definition) as unknown as {
  HelloService_proto: { HelloService: Stub<HelloStub> };
  grpc: { health: { v1: { Health: Stub<HealthStub> } } };
};

describe("grpc-js", { skip: realConsulSkip }, () => {
  let consul: ConsulProcess;
  before(async () => {
    consul = await startConsul();
  });
  after(() => consul?.[Symbol.asyncDispose]());

  for (const runtime of runtimeNames) {
    test(`grpc-js calls our server on ${runtime}`, async () => {
      await using server = await startOurServer(runtime, consul, `grpc-js-${runtime}`);
      const [address = ""] = await server.ready(1);
      const hello = new stubs.HelloService_proto.HelloService(address, credentials.createInsecure());
      const health = new stubs.grpc.health.v1.Health(address, credentials.createInsecure());
      try {
        const sayHello = (num1: number, num2: number) =>
          new Promise<HelloAnswer>((resolve, reject) => {
            hello.sayHello({ name: "grpc-js", num1, num2 }, (error, answer) =>
              error ? reject(error) : resolve(answer),
            );
          });
        const message = `Hello! grpc-js!This is Server: ${address}`;
        assert.deepEqual(await sayHello(1, 2), { message, result: 3 });
        assert.deepEqual(await sayHello(2_147_483_647, 2), { message, result: -2_147_483_647 });

        const many = await Promise.all(Array.from({ length: 200 }, (_, i) => sayHello(i, 1)));
        assert.deepEqual(
          many.map(({ result }) => result),
          Array.from({ length: 200 }, (_, i) => i + 1),
        );

        const check = (service: string) =>
          new Promise<string>((resolve, reject) => {
            health.check({ service }, (error, answer) => (error ? reject(error) : resolve(answer.status)));
          });
        assert.equal(await check(""), "SERVING");
        assert.equal(await check("HelloService_proto.HelloService"), "SERVING");
        await assert.rejects(check("nobody.Knows"), { code: status.NOT_FOUND });

        const unknown = new Promise((resolve, reject) => {
          const raw = (bytes: Buffer) => bytes;
          hello.makeUnaryRequest(
            "/HelloService_proto.HelloService/SayNothing",
            raw,
            raw,
            Buffer.alloc(0),
            (error, answer) => (error ? reject(error) : resolve(answer)),
          );
        });
        await assert.rejects(unknown, { code: status.UNIMPLEMENTED });
      } finally {
        hello.close();
        health.close();
      }
    });
  }
});
