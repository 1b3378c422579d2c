// grpcurl calls our server on every runtime, with the .proto files and, by reflection, without.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type ConsulProcess, realConsulSkip, startConsul } from "../support/consul-agent.ts";
import { projectFolder, runtimeNames } from "../tools/runtimes.ts";
import { goSkip, startGo, startOurServer } from "./programs.ts";

/** Runs grpcurl to its end. It exits with 64 + the gRPC code of a failed call. */
async function grpcurl(proto: string, data: object, address: string, method: string) {
  const flags = ["-plaintext", "-import-path", `${projectFolder}proto`, "-proto", proto, "-emit-defaults"];
  await using command = startGo("grpcurl", [...flags, "-d", JSON.stringify(data), address, method]);
  const exitCode = await command.exitCode;
  return { exitCode, answer: exitCode === 0 ? JSON.parse(command.stdout) : command.stderr };
}

/** Runs grpcurl without a .proto file to its end; what it printed. */
async function grpcurlAlone(...args: readonly string[]): Promise<string> {
  await using command = startGo("grpcurl", ["-plaintext", ...args]);
  assert.equal(await command.exitCode, 0, command.stderr);
  return command.stdout.trim();
}

const helloProto = "HelloService_proto/hello_service.proto";
const healthProto = "grpc/health/v1/health.proto";

describe("grpcurl", { skip: realConsulSkip || goSkip }, () => {
  let consul: ConsulProcess;
  before(async () => {
    consul = await startConsul();
  });
  after(() => consul?.[Symbol.asyncDispose]());

  for (const runtime of runtimeNames) {
    test(`grpcurl calls our server on ${runtime}`, async () => {
      await using server = await startOurServer(runtime, consul, `grpcurl-${runtime}`);
      const [address = ""] = await server.ready(1);
      const sayHello = (data: object) => grpcurl(helloProto, data, address, "HelloService_proto.HelloService/SayHello");
      const message = `Hello! grpcurl!This is Server: ${address}`;
      assert.deepEqual(await sayHello({ name: "grpcurl", num1: 1, num2: 2 }), {
        exitCode: 0,
        answer: { message, result: 3 },
      });
      assert.deepEqual(await sayHello({ name: "grpcurl", num1: -2_147_483_648, num2: -1 }), {
        exitCode: 0,
        answer: { message, result: 2_147_483_647 },
      });
    });

    test(`grpcurl asks our server on ${runtime} for its health`, async () => {
      await using server = await startOurServer(runtime, consul, `grpcurl-health-${runtime}`);
      const [address = ""] = await server.ready(1);
      const check = (service: string) => grpcurl(healthProto, { service }, address, "grpc.health.v1.Health/Check");
      assert.deepEqual(await check(""), { exitCode: 0, answer: { status: "SERVING" } });
      assert.deepEqual(await check("HelloService_proto.HelloService"), { exitCode: 0, answer: { status: "SERVING" } });
      const notFound = 5;
      assert.equal((await check("nobody.Knows")).exitCode, 64 + notFound);
    });

    test(`grpcurl needs no .proto file for our server on ${runtime}`, async () => {
      await using server = await startOurServer(runtime, consul, `grpcurl-alone-${runtime}`);
      const [address = ""] = await server.ready(1);
      assert.deepEqual((await grpcurlAlone(address, "list")).split("\n"), [
        "HelloService_proto.HelloService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
      ]);
      assert.match(
        await grpcurlAlone(address, "describe", "HelloService_proto.HelloService"),
        /rpc SayHello \( \.HelloService_proto\.HelloRequest \) returns \( \.HelloService_proto\.HelloResponse \)/,
      );
      assert.match(await grpcurlAlone(address, "describe", ".HelloService_proto.HelloRequest"), /int32 num1 = 2;/);
      const data = JSON.stringify({ name: "grpcurl", num1: 1, num2: 2 });
      assert.deepEqual(
        JSON.parse(await grpcurlAlone("-d", data, address, "HelloService_proto.HelloService/SayHello")),
        { message: `Hello! grpcurl!This is Server: ${address}`, result: 3 },
      );
    });
  }
});
