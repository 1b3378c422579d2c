// A server of the chaos suite: ChaosService, registered in Consul by lictor, whose handlers write every run into a ledger. A rival's takes
// the same arguments and keeps the same ledger.
//
//   chaos-server.ts --consul ADDRESS --service NAME --name NAME --ledger FILE [--port N] [--advertise-port N]
//                   [--restart-every MS --order deregister-first|stop-first] [--grace MS] [--not-before UNIX_MS]
//
// Prints "ready HOST:PORT" for every server that serves. SIGTERM ends it gracefully. Takes orders on stdin, a line each:
//   slow MS      every handler takes so much longer
//   fail NAME    every handler fails with that gRPC code (`unavailable`), after it has written its run
//   well         neither any more

import { ConnectError, type ConnectRouter } from "@connectrpc/connect";
import { registerService, serve } from "../../src/index.ts";
import { ChaosService } from "../gen/lictor/chaos/v1/chaos_pb.ts";
import type { ChaosMethod } from "./ledger.ts";
import { openServing } from "./serving.ts";

const serving = openServing();
const { args, logger, self } = serving;
const { service, advertisedPort, graceMs } = args;
const agents = args.consul.split(",");
const consul = agents.length === 1 ? args.consul : { address: agents };

// `isApart`: it is registered beside the server, which then closes without a look at Consul, as the original does.
await serving.keep(async (port, isApart) => {
  const server = serve({
    routes,
    port,
    graceMs,
    logger,
    ...(isApart ? {} : { consul, service }),
    ...(advertisedPort === 0 ? {} : { advertise: { port: advertisedPort } }),
  });
  const address = await server.ready;
  const registration = isApart
    ? registerService({ consul, name: service, host: address.host, port: address.port, logger })
    : server.registration;
  await registration?.registered;
  return {
    port: address.port,
    async close() {
      const report = await server.close();
      logger.info("closed", { ...report });
    },
    ...(isApart && registration !== undefined ? { deregister: () => registration.close() } : {}),
  };
});

function routes(router: ConnectRouter): void {
  const run = async (method: ChaosMethod, id: string, delayMs: number, signal: AbortSignal) => {
    const code = await serving.run(method, id, delayMs, signal);
    if (code !== undefined) throw new ConnectError("ordered to fail", code);
  };
  const unary =
    (method: ChaosMethod) =>
    async ({ id, delayMs }: { id: string; delayMs: number }, { signal }: { signal: AbortSignal }) => {
      await run(method, id, delayMs, signal);
      return { server: self };
    };
  router.service(ChaosService, {
    plain: unary("plain"),
    idempotent: unary("idempotent"),
    safe: unary("safe"),
    async *down({ id, delayMs, count }, { signal }) {
      await run("down", id, 0, signal);
      for (let index = 0; index < count; index++) {
        await serving.pause(delayMs, signal);
        yield { server: self, index };
      }
    },
    async up(requests, { signal }) {
      let count = 0;
      for await (const { id, delayMs } of requests) {
        if (count++ === 0) await run("up", id, delayMs, signal);
      }
      return { server: self, count };
    },
    async *both(requests, { signal }) {
      let index = 0;
      for await (const { id, delayMs } of requests) {
        if (index === 0) await run("both", id, delayMs, signal);
        yield { server: self, index: index++ };
      }
    },
  });
}
