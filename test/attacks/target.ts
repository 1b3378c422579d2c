// The server that is attacked, one like it that is not, a well-behaved caller of both, and what they are measured by. ATTACK_TARGET says
// which server: `serve` (test/attacks/server.ts), or `echo` (test/h2spec/echo-server.ts), HTTP/2 with nothing on it.

import { readFileSync } from "node:fs";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { type AttackPaths, echoPaths } from "../support/h2-attacks.ts";
import type { SpawnedCommand } from "../support/spawn-command.ts";
import { spawnOn } from "../support/spawn-on.ts";
import type { RuntimeName } from "../tools/runtimes.ts";

/** What the server of test/attacks/server.ts allows an address. */
export const maxConnectionsPerPeer = 100;
/** How long it waits for a silent peer: longer than for one who begins what he does not end. */
export const keepalive = { timeMs: 20_000, timeoutMs: 1000 };

/** What the caller saw since it was last asked. */
export interface CallerReport {
  readonly calls: number;
  readonly failures: readonly string[];
  readonly p99Ms: number;
}

/** The same while, at both servers: what else the machine does, the caller sees at both. */
export interface Measured {
  readonly attacked: CallerReport;
  readonly spared: CallerReport;
}

export interface Target extends AsyncDisposable {
  readonly port: number;
  /** Lets the caller call for a while, beside whatever else is done meanwhile. */
  measure(ms: number): Promise<Measured>;
  /** Memory that the server takes now, in bytes. */
  rss(): number;
}

/** What is attacked. */
export interface TargetKind {
  readonly name: "serve" | "echo";
  readonly script: string;
  readonly paths: AttackPaths;
}

const kinds: readonly TargetKind[] = [
  {
    name: "serve",
    script: "test/attacks/server.ts",
    paths: {
      hang: "/lictor.test.v1.AttackService/Hang",
      large: "/lictor.test.v1.AttackService/Large",
      // Without a message it is answered by trailers alone.
      small: "/lictor.test.v1.EchoService/Unary",
      upload: "/lictor.test.v1.AttackService/Upload",
      more: ["content-type", "application/grpc", "te", "trailers"],
    },
  },
  { name: "echo", script: "test/h2spec/echo-server.ts", paths: echoPaths },
];

/** The one that is wanted. Throws an Error where ATTACK_TARGET names none. */
export function wantedKind(): TargetKind {
  const name = process.env.ATTACK_TARGET ?? "serve";
  const kind = kinds.find((known) => known.name === name);
  if (kind === undefined) throw new Error(`Cannot attack "${name}": known are ${kinds.map((known) => known.name)}`);
  return kind;
}

/** Starts them all. Linux only: memory is read from /proc. */
export async function startTarget(kind: TargetKind, runtime: RuntimeName): Promise<Target> {
  const servers = [0, 1].map(() => spawnOn(runtime, kind.script, [], { stdin: "pipe" }));
  const ports: string[] = [];
  for (const server of servers) ports.push((await server.ready(1))[0]?.split(":").at(-1) ?? "");
  const caller = spawnOn("node", "test/attacks/caller.ts", [kind.name, ...ports], { stdin: "pipe" });
  await caller.until(({ lines }) => lines.includes("calling"));
  return {
    port: Number(ports[0]),
    async measure(ms) {
      await ask(caller);
      await sleep(ms);
      return ask(caller);
    },
    rss: () => readRss(servers[0]?.process.pid ?? 0),
    async [Symbol.asyncDispose]() {
      for (const command of [caller, ...servers]) await command[Symbol.asyncDispose]();
    },
  };
}

async function ask(caller: SpawnedCommand): Promise<Measured> {
  const known = caller.lines.length;
  caller.process.stdin?.write("report\n");
  await caller.until(({ lines }) => lines.length > known);
  const [attacked, spared] = JSON.parse(caller.lines[known] ?? "") as CallerReport[];
  if (attacked === undefined || spared === undefined) throw new Error("the caller reports of two servers");
  return { attacked, spared };
}

function readRss(pid: number): number {
  const kibibytes = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kibibytes) * 1024;
}
