// The benchmark's process protocol, for programs in TypeScript: a line of JSON says that the program is ready, then each line on
// stdin is a command and is answered by a line on stdout. The end of stdin ends the program. README.md has the protocol whole.
// Measures the process it runs in; knows no gRPC.

import process from "node:process";
import { parseArgs } from "node:util";
import type { Answer, Command, Phase, Usage } from "./commands.ts";

/** Where a client program sends its calls. */
export interface ClientArguments {
  /** `host:port`, at least one. */
  readonly targets: readonly string[];
  /** How lictor's client is put together: see lictor-client.ts. Others have one way only. */
  readonly variant: string;
  /** Name of lictor's connector; undefined takes the default. */
  readonly connector: string | undefined;
}

/** What a server program is told. */
export interface ServerArguments {
  /** How many ports to listen on; each is a server of its own. */
  readonly ports: number;
  /** Name of lictor's HTTP/2 engine; undefined takes the default. */
  readonly http2: string | undefined;
}

/** Makes the calls of one client program. Every call checks its answer and rejects where it is wrong. */
export interface Caller {
  /** SayHello with `index` as a number to add; resolves to the message. */
  unary(index: number): Promise<string>;
  /** The calls of BenchService; undefined where the row takes no part in them. */
  readonly bench?: BenchCaller;
  /** Keeps calls in flight in a way of its own, where a promise a call would be most of what is measured. */
  run?(command: Command): Promise<Phase>;
}

/** The calls that only some rows make. */
export interface BenchCaller {
  echo(bytes: number): Promise<void>;
  download(messages: number, bytes: number): Promise<void>;
  chat(messages: number, bytes: number): Promise<void>;
  /** Opens one more stream, exchanges a message on it and leaves it open; resolves to what ends it. */
  hold(): Promise<() => Promise<void>>;
}

/** Runs a client program. `open` is asked again for each `connect`, with other targets. */
export async function runClient(open: (args: ClientArguments) => Caller | Promise<Caller>): Promise<void> {
  const { values } = parseArgs({
    options: {
      targets: { type: "string", default: "" },
      variant: { type: "string", default: "plain" },
      connector: { type: "string" },
    },
  });
  const args = { variant: values.variant, connector: values.connector, targets: values.targets.split(",") };
  const caller = await open(args);
  const opened: Caller[] = [];
  const held: (() => Promise<void>)[] = [];
  await obey([], async (command) => {
    const { bytes = 0, messages = 0 } = command;
    switch (command.do) {
      case "unary":
        return caller.run?.(command) ?? runPhase(command, (index) => caller.unary(index));
      case "echo":
        return runPhase(command, () => benchOf(caller).echo(bytes));
      case "download":
        return runPhase(command, () => benchOf(caller).download(messages, bytes));
      case "chat":
        return runPhase(command, () => benchOf(caller).chat(messages, bytes));
      case "hold":
        return runPhase({ ...command, calls: command.streams ?? 0 }, async () => {
          held.push(await benchOf(caller).hold());
        });
      case "release":
        await Promise.all(held.splice(0).map((end) => end()));
        return { released: true };
      case "connect": {
        const targets = command.targets ?? [];
        const another = await open({ ...args, targets });
        opened.push(another);
        await callEach(another, targets.length);
        return { connected: true };
      }
      default:
        throw new Error(`unknown command ${command.do}`);
    }
  });
}

/** Runs a server program: `listen` opens one server and resolves to its port. */
export async function runServer(listen: (args: ServerArguments) => Promise<number>): Promise<void> {
  const { values } = parseArgs({ options: { ports: { type: "string", default: "1" }, http2: { type: "string" } } });
  const args = { ports: Number(values.ports), http2: values.http2 };
  const ports: number[] = [];
  while (ports.length < args.ports) ports.push(await listen(args));
  await obey(ports, async (command) => {
    throw new Error(`a server cannot ${command.do}`);
  });
}

function benchOf({ bench }: Caller): BenchCaller {
  if (bench === undefined) throw new Error("this row makes unary calls only");
  return bench;
}

/** Calls until as many servers as that have answered: the message names them. Gives up after 20 s. */
async function callEach(caller: Caller, count: number): Promise<void> {
  const answered = new Set<string>();
  const untilMs = performance.now() + 20_000;
  for (let index = 0; answered.size < count; index++) {
    if (performance.now() > untilMs) throw new Error(`only ${answered.size} of ${count} servers have answered`);
    answered.add(await caller.unary(index));
  }
}

/** Makes calls, `inFlight` at a time, until they are enough or the time is over. */
async function runPhase(command: Command, call: (index: number) => Promise<unknown>): Promise<Phase> {
  const { inFlight = 1, calls = 0, limitMs = 1000 } = command;
  const latencies = new Float64Array(calls);
  let issued = 0;
  let done = 0;
  let failures = 0;
  let error: string | undefined;
  const meter = startMeter();
  const work = async () => {
    while (issued < calls) {
      const atMs = performance.now();
      if (atMs - meter.startMs >= limitMs) return;
      try {
        await call(++issued);
      } catch (reason) {
        failures++;
        error ??= String(reason);
      }
      latencies[done++] = performance.now() - atMs;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, work));
  return { ...meter.stop(latencies.subarray(0, done), failures), ...(error === undefined ? {} : { error }) };
}

/** Measures this process from now on. */
export function startMeter(): {
  readonly startMs: number;
  stop(latencies: Float64Array, failures: number): Phase;
} {
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  return {
    startMs,
    stop(latencies, failures) {
      const wallMs = performance.now() - startMs;
      const { user, system } = process.cpuUsage(cpu);
      const sorted = latencies.toSorted();
      const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? 0;
      return {
        calls: sorted.length,
        failures,
        wallMs,
        cpuMs: (user + system) / 1000,
        p50: at(0.5),
        p99: at(0.99),
      };
    },
  };
}

async function obey(ports: readonly number[], answer: (command: Command) => Promise<Answer>): Promise<void> {
  const say = (line: unknown) => process.stdout.write(`${JSON.stringify(line)}\n`);
  let rest = "";
  let last = Promise.resolve();
  process.stdin.setEncoding("utf8");
  process.stdin.on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      last = last.then(async () => {
        try {
          const command: Command = JSON.parse(line);
          say(command.do === "usage" ? await readUsage(command.gc === true) : await answer(command));
        } catch (error) {
          say({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
        }
      });
    }
  });
  process.stdin.on("end", () => last.then(() => process.exit(0)));
  say({ ready: true, ports });
}

/** Bun's collector is its own; Node and Deno show V8's where they are started with --expose-gc. */
const collector = globalThis as { readonly gc?: () => void; readonly Bun?: { gc(force: boolean): void } };

async function readUsage(gc: boolean): Promise<Usage> {
  // What one collection finds dead may free more at the next, after finalizers ran.
  for (let round = 0; gc && round < 3; round++) {
    collector.Bun?.gc(true);
    collector.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const { user, system } = process.cpuUsage();
  const { heapUsed, external, rss } = process.memoryUsage();
  return { cpuMs: (user + system) / 1000, heapBytes: heapUsed + external, rssBytes: rss };
}
