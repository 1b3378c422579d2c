// Starts, stops, freezes and kills real Consul agents for tests, on free loopback ports. Works on Bun, Deno and Node.
// Never downloads Consul (`npm run get-consul` does) and never stands in for it: without a binary, tests are skipped,
// and where CI=true they fail.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { findExecutable } from "./find-executable.ts";

/** How the agent is run. */
export interface ConsulOptions {
  /**
   * `dev`: in memory, forgets everything on restart. `server`: `-server -bootstrap` with a data directory, remembers. Default
   * `dev`.
   */
  readonly mode?: "dev" | "server";
  /**
   * Data directory of mode `server`. Default: a temporary one, which outlives `stop()` and goes when the agent is disposed of or
   * the test process ends.
   */
  readonly dataDir?: string;
  /** Default: a free one. */
  readonly httpPort?: number;
  /** Default-deny ACLs; `managementToken` of the result may do everything. Default false. */
  readonly acl?: boolean;
  /** Default `dc1`. */
  readonly datacenter?: string;
  /** Added to the command line. */
  readonly extraArgs?: readonly string[];
  /** Configuration merged into the agent's, in Consul's own JSON form. */
  readonly config?: Readonly<Record<string, unknown>>;
}

/** A running (or stopped) agent, always on the same ports. Its owner stops it: `await using`, or a hook. */
export interface ConsulProcess extends AsyncDisposable {
  /** `http://127.0.0.1:<httpPort>` */
  readonly address: string;
  readonly httpPort: number;
  /** Version as the binary tells it: `1.8.7`. */
  readonly version: string;
  /** Token that may do everything, where `acl` was asked for. */
  readonly managementToken: string | undefined;
  /** What the agent has logged so far. */
  readonly log: string;
  /** Graceful end (SIGINT, without leaving). Resolves when the process is gone. Idempotent. */
  stop(): Promise<void>;
  /** SIGKILL. Resolves when the process is gone. Idempotent. */
  kill(): Promise<void>;
  /** Starts the agent again on the same ports and data directory, and waits until it is ready. */
  start(): Promise<void>;
  /** Freezes the process (SIGSTOP): its sockets stay open and silent. */
  pause(): void;
  /** Thaws it (SIGCONT). */
  resume(): void;
}

/** Path of a Consul binary: CONSUL_BIN, then PATH, then what `npm run get-consul` has unpacked. */
export function findConsul(): string | undefined {
  const unpacked = fileURLToPath(new URL("../../node_modules/.cache/consul/consul", import.meta.url));
  return findExecutable("CONSUL_BIN", ["consul", unpacked]);
}

/**
 * For the `skip` option of tests that need a real agent: a reason where none can be had, else false. False too where CI=true,
 * so that there such a test fails instead.
 */
export const realConsulSkip: string | false = (() => {
  if (findConsul() !== undefined || process.env.CI === "true") return false;
  const reason = "no Consul binary: set CONSUL_BIN, put consul on PATH, or run `npm run get-consul`";
  process.stderr.write(`SKIPPED against a real agent: ${reason}\n`);
  return reason;
})();

/** Starts an agent and resolves when it has a leader, answers health reads and lists itself. Takes 1 to 5 seconds. */
export async function startConsul(options: ConsulOptions = {}): Promise<ConsulProcess> {
  const binary = findConsul();
  if (binary === undefined) {
    throw new Error("Cannot start Consul as there is no binary: set CONSUL_BIN or run `npm run get-consul`");
  }
  const version = versionOf(binary);
  // A port found free may be taken before Consul binds it: then try others.
  for (let attempt = 1; ; attempt++) {
    const agent = await createAgent(binary, version, options);
    try {
      await agent.start();
      return agent;
    } catch (error) {
      await agent.kill();
      if (attempt === 5 || !/address already in use/.test(agent.log)) throw error;
    }
  }
}

const startTimeoutMs = 30_000;

async function createAgent(binary: string, version: string, options: ConsulOptions): Promise<ConsulProcess> {
  const { mode = "dev", datacenter = "dc1", extraArgs = [], config = {} } = options;
  const httpPort = options.httpPort ?? (await freePort());
  const address = `http://127.0.0.1:${httpPort}`;
  const managementToken = options.acl === true ? crypto.randomUUID() : undefined;
  const serverPort = await freePort();
  const serfPort = await freePort();
  const atLeast = (minor: number) => Number(version.split(".")[1]) >= minor || !version.startsWith("1.");
  const fileConfig = {
    ...config,
    // Elections in 1 s rather than 5.
    performance: { raft_multiplier: 1 },
    ports: {
      http: httpPort,
      dns: -1,
      grpc: -1,
      ...(atLeast(14) ? { grpc_tls: -1 } : {}),
      server: serverPort,
      serf_lan: serfPort,
      serf_wan: -1,
    },
    ...(managementToken === undefined
      ? {}
      : {
          acl: {
            enabled: true,
            default_policy: "deny",
            tokens: {
              // Renamed in 1.11.
              [atLeast(11) ? "initial_management" : "master"]: managementToken,
              agent: managementToken,
            },
          },
        }),
  };
  let folder: string | undefined;
  let child: ChildProcess | undefined;
  let gone: Promise<void> = Promise.resolve();
  let log = "";

  const end = async (signal: NodeJS.Signals) => {
    if (child !== undefined) {
      const ending = child;
      // A frozen process takes no SIGINT.
      sendSignal(ending, "SIGCONT");
      sendSignal(ending, signal);
      // An agent that hangs in its shutdown must not hang the test run.
      const killer = setTimeout(() => sendSignal(ending, "SIGKILL"), 10_000);
      await gone;
      clearTimeout(killer);
    }
  };

  const agent: ConsulProcess = {
    address,
    httpPort,
    version,
    managementToken,
    get log() {
      return log;
    },
    async start() {
      if (child !== undefined) throw new Error("Cannot start Consul as it is running");
      if (folder === undefined) {
        folder = mkdtempSync(join(tmpdir(), "lictor-consul-"));
        removeAtExit(folder);
      }
      const configFile = join(folder, "agent.json");
      writeFileSync(configFile, JSON.stringify(fileConfig));
      const dataDir = options.dataDir ?? join(folder, "data");
      const modeArgs = mode === "dev" ? ["-dev"] : ["-server", "-bootstrap", "-data-dir", dataDir];
      const common = ["-bind", "127.0.0.1", "-client", "127.0.0.1", "-datacenter", datacenter, "-node", "test-node"];
      const args = ["agent", ...modeArgs, ...common, "-config-file", configFile, ...extraArgs];
      const started = spawn(binary, args, { stdio: ["ignore", "pipe", "pipe"] });
      child = started;
      running.add(started);
      const append = (chunk: Buffer) => {
        log += chunk.toString();
      };
      started.stdout?.on("data", append);
      started.stderr?.on("data", append);
      gone = new Promise((resolve) => {
        const onGone = () => {
          running.delete(started);
          if (child === started) child = undefined;
          resolve();
        };
        started.once("error", onGone);
        // "close", not "exit": the log is complete by then.
        started.once("close", onGone);
      });
      await untilReady(address, managementToken, () => child === started).catch(async (error: unknown) => {
        await end("SIGKILL");
        throw new Error(`Cannot start Consul: ${error}\n${log.slice(-4000)}`);
      });
    },
    stop: () => end("SIGINT"),
    kill: () => end("SIGKILL"),
    pause() {
      sendSignal(child, "SIGSTOP");
    },
    resume() {
      sendSignal(child, "SIGCONT");
    },
    async [Symbol.asyncDispose]() {
      await end("SIGINT");
      if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
      folder = undefined;
    },
  };
  return agent;
}

async function untilReady(address: string, token: string | undefined, isAlive: () => boolean): Promise<void> {
  const headers: Record<string, string> = token === undefined ? {} : { "X-Consul-Token": token };
  const read = async (path: string): Promise<unknown> => {
    const response = await fetch(address + path, { headers, signal: AbortSignal.timeout(5000) });
    const text = await response.text();
    return response.ok ? JSON.parse(text) : undefined;
  };
  const deadline = performance.now() + startTimeoutMs;
  while (performance.now() < deadline) {
    if (!isAlive()) throw new Error("the process ended");
    try {
      const leader = await read("/v1/status/leader");
      // Its own entry comes by anti-entropy, after the election; until then the catalog cannot be written through it.
      const self = leader ? await read("/v1/health/service/consul?passing=true") : undefined;
      if (Array.isArray(self) && self.length > 0) return;
    } catch {
      // Not listening yet.
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`not ready within ${startTimeoutMs} ms`);
}

/** A port free for TCP and UDP, below the range from which systems give out ports by themselves. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    if ((await isTcpFree(port)) && (await isUdpFree(port))) return port;
  }
}

function isTcpFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

function isUdpFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket("udp4");
    socket.once("error", () => resolve(false));
    socket.bind(port, "127.0.0.1", () => socket.close(() => resolve(true)));
  });
}

function versionOf(binary: string): string {
  const text = execFileSync(binary, ["version"], { encoding: "utf8" });
  const match = /Consul v([0-9]+\.[0-9]+\.[0-9]+)/.exec(text);
  if (match?.[1] === undefined) throw new Error(`Cannot use Consul as ${binary} tells no version: ${text}`);
  return match[1];
}

/** On Deno, `child.kill()` works once only, whatever the signal; `process.kill()` has no such limit. */
function sendSignal(child: ChildProcess | undefined, signal: NodeJS.Signals): void {
  if (child?.pid === undefined) return;
  try {
    process.kill(child.pid, signal);
  } catch {
    // It is gone already.
  }
}

const running = new Set<ChildProcess>();
const folders = new Set<string>();
let exitHook = false;

/** A test that dies must leave neither an agent nor its folder behind. */
function removeAtExit(folder: string): void {
  folders.add(folder);
  if (exitHook) return;
  exitHook = true;
  process.once("exit", () => {
    for (const child of running) sendSignal(child, "SIGKILL");
    for (const path of folders) rmSync(path, { recursive: true, force: true });
  });
}
