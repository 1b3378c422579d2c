// The server that is attacked, a well-behaved caller beside the attacker, and what they are measured by. ATTACK_SERVER names another
// script than test/h2spec/echo-server.ts: one that prints `ready HOST:PORT`; ATTACK_PATHS what it does where (AttackPaths as JSON, and
// `call` for the caller).

import { readFileSync } from "node:fs";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { type AttackPaths, echoPaths } from "../support/h2-attacks.ts";
import type { SpawnedCommand } from "../support/spawn-command.ts";
import { spawnOn } from "../support/spawn-on.ts";
import type { RuntimeName } from "../tools/runtimes.ts";

/** What the caller saw since it was last asked. */
export interface CallerReport {
  readonly calls: number;
  readonly failed: number;
  readonly p99Ms: number;
}

export interface Target extends AsyncDisposable {
  readonly port: number;
  readonly paths: AttackPaths;
  /** Lets the caller call for a while, beside whatever else is done meanwhile. */
  measure(ms: number): Promise<CallerReport>;
  /** Memory that the server takes now, in bytes. */
  rss(): number;
}

/** Starts both. Linux only: memory is read from /proc. */
export async function startTarget(runtime: RuntimeName): Promise<Target> {
  const { call = "/bytes/100", ...paths } = JSON.parse(process.env.ATTACK_PATHS ?? "{}");
  const script = process.env.ATTACK_SERVER ?? "test/h2spec/echo-server.ts";
  const server = spawnOn(runtime, script, [], { stdin: "pipe" });
  const [address = ""] = await server.ready(1);
  const port = Number(address.split(":").at(-1));
  const caller = spawnOn("node", "test/attacks/caller.ts", [String(port), call], { stdin: "pipe" });
  await caller.until(({ lines }) => lines.includes("calling"));
  return {
    port,
    paths: { ...echoPaths, ...paths },
    async measure(ms) {
      await ask(caller);
      await sleep(ms);
      return ask(caller);
    },
    rss: () => readRss(server.process.pid ?? 0),
    async [Symbol.asyncDispose]() {
      await caller[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

async function ask(caller: SpawnedCommand): Promise<CallerReport> {
  const known = caller.lines.length;
  caller.process.stdin?.write("report\n");
  await caller.until(({ lines }) => lines.length > known);
  return JSON.parse(caller.lines[known] ?? "");
}

function readRss(pid: number): number {
  const kibibytes = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kibibytes) * 1024;
}
