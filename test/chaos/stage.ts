// Where a scenario plays: starts Consul, servers, clients and proxies as processes of their own, remembers what was done when, and ends
// everything, whatever happens. Judges nothing.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { createFaultProxy, type FaultProxy, type FaultProxyOptions } from "../../src/testing/fault-proxy.ts";
import { type ConsulOptions, type ConsulProcess, startConsul } from "../support/consul-agent.ts";
import { pause } from "../support/eventually.ts";
import { seededRandom } from "../support/seeded-random.ts";
import type { SpawnedCommand } from "../support/spawn-command.ts";
import type { RuntimeName } from "../tools/runtimes.ts";
import { type ClientProgram, spawnClient, spawnServer } from "./client-programs.ts";
import type { Sample } from "./sample.ts";

/** What a server is told. */
export interface ServerOptions {
  readonly consul: string;
  readonly service: string;
  readonly name: string;
  /** Default `bun`. */
  readonly runtime?: RuntimeName;
  /** More arguments of chaos-server.ts, without the dashes. */
  readonly args?: Readonly<Record<string, string | number>>;
}

/** What a client is told. */
export interface ClientOptions {
  readonly consul: string;
  readonly service: string;
  /** Where our own client runs; rivals run where they run. */
  readonly runtime: RuntimeName;
  /** More arguments of chaos-client.ts, without the dashes. */
  readonly args?: Readonly<Record<string, string | number>>;
}

/** A server that runs, or ran. */
export interface StageServer {
  readonly name: string;
  readonly pid: number;
  /** As it stands in the ledger. */
  readonly ledgerName: string;
  /** `host:port` of what it announced first. */
  readonly address: string;
  /** Sends an order: see chaos-server.ts. */
  order(line: string): void;
  signal(name: NodeJS.Signals): void;
  /** SIGTERM; resolves when it has ended. Rejects where it did not end cleanly. */
  stop(): Promise<void>;
  /** SIGKILL; resolves when it has ended. */
  kill(): Promise<void>;
}

/** A client that is loaded. */
export interface StageClient {
  readonly pid: number;
  go(): void;
  /** Ends the load; resolves when its last call has ended. Rejects where the client failed. */
  stop(): Promise<void>;
  sample(): Promise<Sample>;
}

/** Something that was done, and when. */
export interface Mark {
  readonly atMs: number;
  readonly text: string;
}

/** What all stages of a run share. */
export interface StageSettings {
  readonly name: string;
  readonly folder: string;
  readonly seed: number;
  readonly isQuick: boolean;
  /** Runtimes on which clients run. */
  readonly runtimes: readonly RuntimeName[];
  readonly clientProgram: ClientProgram;
  /** Stretches or shrinks the times of long scenarios; 1: as the table of scenarios has them. */
  readonly pace: number;
  readonly soakMinutes: number;
}

/** Many programs that start at once on two cores take their time. */
const startWithinMs = 60_000;

/** One scenario's stage. Whoever creates it disposes of it. */
export class Stage implements AsyncDisposable {
  readonly settings: StageSettings;
  readonly random: () => number;
  readonly marks: Mark[] = [];
  readonly clientLedgers: string[] = [];
  readonly serverLedgers: string[] = [];
  readonly #folder: string;
  readonly #commands: { readonly name: string; readonly command: SpawnedCommand }[] = [];
  readonly #owned: AsyncDisposable[] = [];

  constructor(settings: StageSettings) {
    this.settings = settings;
    this.random = seededRandom(settings.seed).random;
    this.#folder = join(settings.folder, settings.name);
    mkdirSync(this.#folder, { recursive: true });
  }

  get isQuick(): boolean {
    return this.settings.isQuick;
  }

  /** A path in the folder of this scenario. */
  file(name: string): string {
    return join(this.#folder, name);
  }

  /** Remembers that something was done now, and returns the time. */
  mark(text: string): number {
    const atMs = Date.now();
    this.marks.push({ atMs, text });
    return atMs;
  }

  /** Lets time pass. */
  pause(delayMs: number): Promise<void> {
    return pause(delayMs);
  }

  /** Ends with the stage. */
  own<T extends AsyncDisposable>(thing: T): T {
    this.#owned.push(thing);
    return thing;
  }

  async consul(options: ConsulOptions = {}): Promise<ConsulProcess> {
    return this.own(await startConsul(options));
  }

  async proxy(options: Omit<FaultProxyOptions, "random"> = {}): Promise<FaultProxy> {
    return this.own(await createFaultProxy({ ...options, random: this.random }));
  }

  /** Resolves when it serves and is registered. */
  async server({ consul, service, name, runtime = "bun", args = {} }: ServerOptions): Promise<StageServer> {
    const ledger = this.file(`server-${this.serverLedgers.length}.ledger`);
    this.serverLedgers.push(ledger);
    const told = flags({ consul, service, name, ledger, ...args });
    const command = spawnServer(this.settings.clientProgram, runtime, told);
    this.#add(name, command);
    await command.until(({ lines }) => lines.some((line) => line.startsWith("ready ")), startWithinMs);
    const [address = ""] = await command.ready(1);
    const pid = command.process.pid ?? 0;
    this.mark(`${name} (${runtime}, pid ${pid}) serves at ${address}`);
    return {
      name,
      pid,
      ledgerName: `${name}#${pid}`,
      address,
      order: (line) => this.#say(command, line),
      signal: (signal) => {
        this.mark(`${signal} to ${name}`);
        command.signal(signal);
      },
      stop: async () => {
        this.mark(`SIGTERM to ${name}`);
        command.signal("SIGTERM");
        const code = await command.exitCode;
        this.mark(`${name} has ended with ${code}`);
        if (code !== 0) throw new Error(`${name} ended with ${code}: ${command.stderr.slice(-2000)}`);
      },
      kill: async () => {
        this.mark(`SIGKILL to ${name}`);
        command.kill();
        await command.exitCode;
      },
    };
  }

  /** Resolves when it is loaded; it calls nobody before `go`. */
  async client({ consul, service, runtime, args = {} }: ClientOptions): Promise<StageClient> {
    const number = this.clientLedgers.length;
    const ledger = this.file(`client-${number}.ledger`);
    this.clientLedgers.push(ledger);
    const seed = Math.floor(this.random() * 2 ** 31);
    const prefix = `${this.settings.name}-${number}`;
    const command = spawnClient(
      this.settings.clientProgram,
      runtime,
      flags({ consul, service, ledger, prefix, seed, ...args }),
    );
    this.#add(`client ${number} (${runtime})`, command);
    await command.until(({ lines }) => lines.includes("ready"), startWithinMs);
    return {
      pid: command.process.pid ?? 0,
      go: () => {
        this.mark(`client ${number} (${runtime}) begins`);
        this.#say(command, "go");
      },
      stop: async () => {
        this.#say(command, "stop");
        await command.until(({ lines }) => lines.includes("ended"), 60_000);
        const code = await command.exitCode;
        if (code !== 0) throw new Error(`client ${number} ended with ${code}: ${command.stderr.slice(-2000)}`);
      },
      sample: async () => {
        const samples = () => command.lines.filter((line) => line.startsWith("sample "));
        const before = samples().length;
        this.#say(command, "sample");
        await command.until(() => samples().length > before);
        return JSON.parse(samples().at(-1)?.slice("sample ".length) ?? "{}");
      },
    };
  }

  /** Clients on every runtime of this run. */
  clients(options: Omit<ClientOptions, "runtime">): Promise<StageClient[]> {
    return Promise.all(this.settings.runtimes.map((runtime) => this.client({ ...options, runtime })));
  }

  /** What happened from one time to another, by marks and logs, in order. */
  traceOf(fromMs: number, toMs: number): string[] {
    const lines = [
      ...this.marks.map(({ atMs, text }) => ({ atMs, line: `* ${text}` })),
      ...this.#commands.flatMap(({ name, command }) =>
        command.stderr.split("\n").flatMap((line) => {
          const [, at, text = ""] = /^(\d{13}) (.*)$/.exec(line) ?? [];
          return at === undefined ? [] : [{ atMs: Number(at), line: `${name}: ${text}` }];
        }),
      ),
    ];
    return lines
      .filter(({ atMs }) => atMs >= fromMs && atMs <= toMs)
      .sort((a, b) => a.atMs - b.atMs)
      .map(({ atMs, line }) => `${atMs} ${line}`);
  }

  /** How often the servers have said that one of them serves, beyond the first time of each that there is. */
  restartsSeen(): number {
    return this.#commands.reduce((sum, { command }) => {
      const { length } = command.lines.filter((line) => line.startsWith("ready "));
      return sum + Math.max(0, length - 2);
    }, 0);
  }

  /** Lines of a program's stderr that are no log lines: a stack, mostly. */
  get complaints(): string[] {
    return this.#commands.flatMap(({ name, command }) =>
      command.stderr
        .split("\n")
        .filter((line) => line !== "" && !/^\d{13} /.test(line))
        .slice(0, 20)
        .map((line) => `${name}: ${line}`),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A frozen process is killed all the same; Consul and the proxies last, so that nothing of what ends is logged as trouble.
    for (const { command } of this.#commands) command.kill();
    await Promise.allSettled(this.#commands.map(({ command }) => command.exitCode));
    await Promise.allSettled(this.#owned.map((thing) => thing[Symbol.asyncDispose]()));
  }

  #add(name: string, command: SpawnedCommand): void {
    this.#commands.push({ name, command });
    command.process.stdin?.on("error", () => {});
  }

  #say(command: SpawnedCommand, line: string): void {
    command.process.stdin?.write(`${line}\n`);
  }
}

function flags(args: Readonly<Record<string, string | number>>): string[] {
  return Object.entries(args).map(([name, value]) => `--${name}=${value}`);
}
