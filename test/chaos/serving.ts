// What every server of the chaos suite does, whoever serves: reads the arguments, waits, restarts, takes orders, writes runs into the ledger.

import process from "node:process";
import { parseArgs } from "node:util";
import { Code } from "@connectrpc/connect";
import { codeFromString } from "@connectrpc/connect/protocol-connect";
import type { Logger } from "../../src/core/logger.ts";
import { createRestartingServers, type RunningServer } from "../../src/testing/restarting-servers.ts";
import { type ChaosMethod, openLedger } from "./ledger.ts";
import { createProgramLogger, numberOf, takeOrders } from "./program.ts";

/** What the runner asks of a server: see chaos-server.ts. */
export interface ServerArguments {
  /** One address, or several of one cluster with commas between. */
  readonly consul: string;
  readonly service: string;
  readonly port: number;
  /** What to announce instead; 0: the port listened on. */
  readonly advertisedPort: number;
  readonly restartEveryMs: number;
  readonly order: "deregister-first" | "stop-first";
  readonly graceMs: number;
  readonly notBeforeMs: number;
}

/** A server's part in the suite. */
export interface Serving {
  readonly args: ServerArguments;
  readonly logger: Logger;
  /** Name and process, as they stand in the ledger and in answers. */
  readonly self: string;
  /** Writes the run, takes the time that it is to take, and resolves with the code that it is to fail with, if any. */
  run(method: ChaosMethod, id: string, delayMs: number, signal?: AbortSignal): Promise<Code | undefined>;
  /** Waits; ends early where the signal aborts. */
  pause(delayMs: number, signal?: AbortSignal): Promise<void>;
  /**
   * Starts what the arguments ask for, and ends it on SIGTERM, and the process with it. `startOne` resolves when its server serves and is
   * registered; with `isApart` closing it must not take it out of Consul, which its `deregister` does.
   */
  keep(startOne: (port: number, isApart: boolean) => Promise<RunningServer>): Promise<void>;
}

/** Reads the arguments of this process and opens the ledger. */
export function openServing(): Serving {
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
  const args: ServerArguments = {
    consul: values.consul,
    service: values.service,
    port: numberOf(values.port, "port"),
    advertisedPort: numberOf(values["advertise-port"], "advertise-port"),
    restartEveryMs: numberOf(values["restart-every"], "restart-every"),
    order: values.order === "stop-first" ? "stop-first" : "deregister-first",
    graceMs: numberOf(values.grace, "grace"),
    notBeforeMs: numberOf(values["not-before"], "not-before"),
  };
  const logger = createProgramLogger();
  const ledger = openLedger(values.ledger);
  const self = `${values.name}#${process.pid}`;
  /** What the runner has ordered. */
  let slowMs = 0;
  let failCode: Code | undefined;

  const serving: Serving = {
    args,
    logger,
    self,
    async run(method, id, delayMs, signal) {
      ledger.write(`run ${id} ${method} ${self} ${process.pid} ${Date.now()}`);
      await serving.pause(delayMs + slowMs, signal);
      return failCode;
    },
    pause(delayMs, signal) {
      if (delayMs === 0) return Promise.resolve();
      return new Promise((resolve) => {
        const timer = setTimeout(resolve, delayMs);
        signal?.addEventListener("abort", () => {
          clearTimeout(timer);
          resolve();
        });
      });
    },
    async keep(startOne) {
      // However long a busy machine takes to load this program, it serves at the time asked for.
      await serving.pause(Math.max(0, args.notBeforeMs - Date.now()));
      const announced = async (port: number, isApart: boolean) => {
        const server = await startOne(port, isApart);
        process.stdout.write(`ready 127.0.0.1:${server.port}\n`);
        return server;
      };
      const close = await start(args, announced, logger);
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
    },
  };
  return serving;
}

/** Resolves with what ends it. */
async function start(
  { port, order, restartEveryMs }: ServerArguments,
  startOne: (port: number, isApart: boolean) => Promise<RunningServer>,
  logger: Logger,
): Promise<() => Promise<unknown>> {
  if (restartEveryMs === 0) {
    const { close } = await startOne(port, false);
    return close;
  }
  const servers = createRestartingServers({
    start: (wanted) => startOne(wanted, order === "stop-first"),
    firstPort: port,
    intervalMs: restartEveryMs,
    order,
    onEvent: ({ type, port: at, error }) => logger.info(`${type} ${at}`, error === undefined ? {} : { error }),
    logger,
  });
  await servers.started;
  return servers.close;
}
