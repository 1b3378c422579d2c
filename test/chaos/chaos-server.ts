// A server of the chaos suite: ChaosService, registered in Consul by lictor, whose handlers write every run into a ledger.
//
//   chaos-server.ts --consul ADDRESS --service NAME --name NAME --ledger FILE [--port N] [--advertise-port N]
//                   [--restart-every MS --order deregister-first|stop-first] [--grace MS] [--not-before UNIX_MS]
//
// Prints "ready HOST:PORT" for every server that serves. SIGTERM ends it gracefully. Takes orders on stdin, a line each:
//   slow MS      every handler takes so much longer
//   fail NAME    every handler fails with that gRPC code (`unavailable`), after it has written its run
//   well         neither any more

import process from "node:process";
import { parseArgs } from "node:util";
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import { codeFromString } from "@connectrpc/connect/protocol-connect";
import { sleep, systemClock } from "../../src/core/clock.ts";
import { registerService, serve } from "../../src/index.ts";
import { createRestartingServers, type RunningServer } from "../../src/testing/restarting-servers.ts";
import { ChaosService } from "../gen/lictor/chaos/v1/chaos_pb.ts";
import { type ChaosMethod, openLedger } from "./ledger.ts";
import { createProgramLogger, numberOf, takeOrders } from "./program.ts";

const { values } = parseArgs({
  options: {
    consul: { type: "string", default: "http://127.0.0.1:8500" },
    service: { type: "string", default: "chaos" },
    name: { type: "string", default: "server" },
    ledger: { type: "string", default: "" },
    port: { type: "string", default: "0" },
    "advertise-port": { type: "string", default: "0" },
    "restart-every": { type: "string", default: "0" },
    order: { type: "string", default: "deregister-first" },
    grace: { type: "string", default: "10000" },
    "not-before": { type: "string", default: "0" },
  },
});
// One address, or several of one cluster with commas between.
const agents = values.consul.split(",");
const consul = agents.length === 1 ? values.consul : { address: agents };
const graceMs = numberOf(values.grace, "grace");
const advertisedPort = numberOf(values["advertise-port"], "advertise-port");
const logger = createProgramLogger();
const ledger = openLedger(values.ledger);
const self = `${values.name}#${process.pid}`;

/** What the runner has ordered. */
let slowMs = 0;
let failCode: Code | undefined;

// However long a busy machine takes to load this program, it serves at the time asked for.
const waitMs = Math.max(0, numberOf(values["not-before"], "not-before") - Date.now());
if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
const close = await start();
process.on("SIGTERM", () => {
  logger.info("SIGTERM");
  close().then(
    () => process.exit(0),
    (error) => {
      logger.error("did not stop cleanly", { error });
      process.exit(1);
    },
  );
});
takeOrders(([order, argument = ""]) => {
  if (order === "slow") slowMs = numberOf(argument, "slow");
  else if (order === "fail") failCode = codeFromString(argument) ?? Code.Unknown;
  else if (order === "well") {
    slowMs = 0;
    failCode = undefined;
  }
});

/** Starts what the arguments ask for; resolves with its end. */
async function start(): Promise<() => Promise<unknown>> {
  const everyMs = numberOf(values["restart-every"], "restart-every");
  if (everyMs === 0) {
    const { close } = await startOne(numberOf(values.port, "port"), false);
    return close;
  }
  const order = values.order === "stop-first" ? "stop-first" : "deregister-first";
  const servers = createRestartingServers({
    start: (port) => startOne(port, order === "stop-first"),
    firstPort: numberOf(values.port, "port"),
    intervalMs: everyMs,
    order,
    onEvent: ({ type, port, error }) => logger.info(`${type} ${port}`, error === undefined ? {} : { error }),
    logger,
  });
  await servers.started;
  return servers.close;
}

/** `isApart`: it is registered beside the server, which then closes without a look at Consul, as the original does. */
async function startOne(port: number, isApart: boolean): Promise<RunningServer> {
  const announced = { consul, service: values.service };
  const server = serve({
    routes,
    port,
    graceMs,
    logger,
    ...(isApart ? {} : announced),
    ...(advertisedPort === 0 ? {} : { advertise: { port: advertisedPort } }),
  });
  const address = await server.ready;
  const registration = isApart
    ? registerService({ consul, name: values.service, host: address.host, port: address.port, logger })
    : server.registration;
  await registration?.registered;
  process.stdout.write(`ready ${address.host}:${address.port}\n`);
  return {
    port: address.port,
    async close() {
      const report = await server.close();
      logger.info("closed", { ...report });
    },
    ...(isApart && registration !== undefined ? { deregister: () => registration.close() } : {}),
  };
}

function routes(router: ConnectRouter): void {
  /** Writes the run, and then does what was ordered. */
  const run = async (method: ChaosMethod, id: string, delayMs: number, signal: AbortSignal) => {
    ledger.write(`run ${id} ${method} ${self} ${process.pid} ${Date.now()}`);
    await pause(delayMs + slowMs, signal);
    if (failCode !== undefined) throw new ConnectError("ordered to fail", failCode);
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
        await pause(delayMs, signal);
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

async function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  if (delayMs > 0) await sleep(delayMs, systemClock, signal);
}
