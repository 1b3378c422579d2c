// The chaos suite's server on @grpc/grpc-js: arguments, orders and ledger are those of chaos-server.ts. Set up as its users would: leaves
// Consul first, and then shuts down gracefully, for as long as the grace. It is registered by lictor, as that is not what is compared.

import {
  loadPackageDefinition,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type sendUnaryData,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { registerService } from "../../../src/registry/register-service.ts";
import { projectFolder } from "../../tools/runtimes.ts";
import type { ChaosMethod } from "../ledger.ts";
import { openServing } from "../serving.ts";

interface ChaosRequest {
  readonly id: string;
  readonly delayMs: number;
  readonly count: number;
}
interface ChaosAnswer {
  readonly server: string;
  readonly index?: number;
  readonly count?: number;
}

const serving = openServing();
const { args, logger, self } = serving;
const { service, advertisedPort, graceMs } = args;
const definition = loadChaosService();

await serving.keep(async (port, isApart) => {
  const server = createServer();
  const bound = await listen(server, port);
  const registration = registerService({
    consul: args.consul.split(",")[0] ?? "",
    name: service,
    host: "127.0.0.1",
    port: advertisedPort === 0 ? bound : advertisedPort,
    logger,
  });
  await registration.registered;
  const deregister = () => registration.close();
  return {
    port: bound,
    async close() {
      if (!isApart) await deregister();
      await shutDown(server);
      logger.info("closed");
    },
    ...(isApart ? { deregister } : {}),
  };
});

function createServer(): Server {
  const server = new Server();
  const run = async (method: ChaosMethod, id: string, delayMs: number) => {
    const code = await serving.run(method, id, delayMs);
    if (code !== undefined) throw Object.assign(new Error("ordered to fail"), { code, details: "ordered to fail" });
  };
  const unary =
    (method: ChaosMethod) =>
    (call: ServerUnaryCall<ChaosRequest, ChaosAnswer>, answer: sendUnaryData<ChaosAnswer>): void => {
      run(method, call.request.id, call.request.delayMs).then(() => answer(null, { server: self }), answer);
    };
  server.addService(definition, {
    plain: unary("plain"),
    idempotent: unary("idempotent"),
    safe: unary("safe"),
    async down(call: ServerWritableStream<ChaosRequest, ChaosAnswer>) {
      const { id, delayMs, count } = call.request;
      try {
        await run("down", id, 0);
        for (let index = 0; index < count && !call.cancelled; index++) {
          await serving.pause(delayMs);
          call.write({ server: self, index });
        }
        call.end();
      } catch (error) {
        call.emit("error", error);
      }
    },
    async up(call: ServerReadableStream<ChaosRequest, ChaosAnswer>, answer: sendUnaryData<ChaosAnswer>) {
      let count = 0;
      try {
        for await (const { id, delayMs } of call) if (count++ === 0) await run("up", id, delayMs);
        answer(null, { server: self, count });
      } catch (error) {
        answer(error as Error);
      }
    },
    async both(call: ServerDuplexStream<ChaosRequest, ChaosAnswer>) {
      let index = 0;
      try {
        for await (const { id, delayMs } of call) {
          if (index === 0) await run("both", id, delayMs);
          call.write({ server: self, index: index++ });
        }
        call.end();
      } catch (error) {
        call.emit("error", error);
      }
    },
  });
  return server;
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
}

function shutDown(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const force = setTimeout(() => server.forceShutdown(), graceMs);
    server.tryShutdown(() => {
      clearTimeout(force);
      resolve();
    });
  });
}

function loadChaosService(): ServiceDefinition {
  const loaded = loadPackageDefinition(
    loadSync("lictor/chaos/v1/chaos.proto", { includeDirs: [`${projectFolder}test/proto`], defaults: true }),
    // What grpc-js makes of a .proto file has no types of its own.
  ) as unknown as { lictor: { chaos: { v1: { ChaosService: { service: ServiceDefinition } } } } };
  return loaded.lictor.chaos.v1.ChaosService.service;
}
