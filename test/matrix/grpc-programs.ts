// Carries a GrpcOrder out where there are sockets: in processes of Bun, Deno or Node, and in a Worker.

import assert from "node:assert/strict";
import { spawnOn } from "../support/spawn-on.ts";
import type { RuntimeName } from "../tools/runtimes.ts";
import { startWorkers } from "../workerd/workerd.ts";

/** What to call: HelloService and Echo of an agent, each kind of call so often. Plain JSON data. */
export interface GrpcOrder {
  readonly consul: string;
  readonly rounds: number;
}

/** What was answered. Plain JSON data. */
export interface GrpcAnswers {
  /** Addresses of the servers that answered SayHello. */
  readonly hello: readonly string[];
  /** `KIND SERVER ANSWER` of every call of EchoService. */
  readonly echo: readonly string[];
}

/** Carries out an order in programs that are started for it and gone when the answers are there. */
export async function runByGrpc(runtime: RuntimeName | "workerd", order: GrpcOrder): Promise<GrpcAnswers> {
  if (runtime === "workerd") {
    await using workers = await startWorkers("test/matrix/tcp-worker.ts", [{}]);
    return await workers.ask(`/?order=${encodeURIComponent(JSON.stringify(order))}`);
  }
  const run = async (script: string, service: string): Promise<readonly string[]> => {
    await using program = spawnOn(runtime, script, [order.consul, service, String(order.rounds)]);
    assert.equal(await program.exitCode, 0, program.stderr);
    return program.lines;
  };
  const lines = await run("test/support/call-hello.ts", "HelloService");
  return {
    hello: lines.map((line) => line.split(": ")[1] ?? ""),
    echo: await run("test/support/call-echo.ts", "Echo"),
  };
}
