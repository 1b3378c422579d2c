// What discovery, balancing, deadlines and interceptors add to a call, beside the call itself:
// `bun bench/balancing.ts [--runtime bun|deno|node] [--rounds N] [--calls N] [--call-us N]`. Connections answer from memory, at the next turn of
// the event loop all calls that wait, as a chunk of a socket's does: what is left is the transport's own work.
//
// The shares are of a call through the engine, over a socket, which takes about `--call-us`. Rounds of all rows alternate, and a row is
// the median of its rounds. Exit code 1 where a share is above what it may be.

import { spawn } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { create } from "@bufbuild/protobuf";
import { createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import type { CallOutcome, NewPicker } from "../src/balancer/picker.ts";
import { roundRobin } from "../src/balancer/round-robin.ts";
import type { Endpoint } from "../src/core/endpoint.ts";
import { createStaticResolver } from "../src/resolver/static-resolver.ts";
import { createBalancedTransport } from "../src/transport/balanced-transport.ts";
import type { Connection, ConnectionState, Connector, UnaryCaller } from "../src/transport/connector.ts";
import { EchoService } from "../test/gen/lictor/test/v1/echo_pb.ts";
import { findRuntime, type RuntimeName, runtimeNames } from "../test/tools/runtimes.ts";

const inFlight = 64;

async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      runtime: { type: "string", default: "bun" },
      rounds: { type: "string", default: "15" },
      calls: { type: "string", default: "64000" },
      // Client side, 64 in flight, small messages, measured on the three runtimes: 4 to 6.
      "call-us": { type: "string", default: "5" },
    },
  });
  const runtime = runtimeNames.find((name) => name === values.runtime);
  const [rounds, calls, callUs] = [Number(values.rounds), Number(values.calls), Number(values["call-us"])];
  if (
    runtime === undefined ||
    !(Number.isInteger(rounds) && rounds > 0) ||
    !(Number.isInteger(calls) && calls >= inFlight) ||
    !(callUs > 0)
  ) {
    console.error("usage: balancing.ts [--runtime bun|deno|node] [--rounds N] [--calls N] [--call-us N]");
    return 2;
  }
  if (!(runtime in process.versions && (runtime !== "node" || isNode()))) return runOn(runtime, args);

  const rows = await openRows();
  const times = await measure(rows, rounds, calls);
  await Promise.all(rows.map((row) => row.close()));
  const picks = measurePicks([3, 1000], rounds);
  const pickNs = (count: number) => median(picks.get(count) ?? []);
  const nsOf = (name: string) => median(times.get(name) ?? []);

  console.log(
    `Beside the call itself: ${rounds} rounds of ${calls} calls, ${inFlight} in flight, ${runtime} ${process.versions[runtime]}`,
  );
  console.table(Object.fromEntries(rows.map(({ name }) => [name, { "ns per call": Math.round(nsOf(name)) }])));
  console.log(`pick() and done(): ${pickNs(3).toFixed(1)} ns of 3 endpoints, ${pickNs(1000).toFixed(1)} ns of 1,000`);
  // The fake connection's part is in every row, and in the call.
  const callNs = callUs * 1000 - nsOf("bare counter");
  const ratio = (row: string, base: string) => (callNs + nsOf(row)) / (callNs + nsOf(base));
  const [three, thousand] = ["balanced, 3 endpoints", "balanced, 1,000 endpoints"];
  const checks = [
    { figure: "balanced over a bare counter", ratio: ratio(three, "bare counter"), limit: 1.05 },
    { figure: "pick() and done(), 1,000 endpoints over 3", ratio: pickNs(1000) / pickNs(3), limit: 1.2 },
    { figure: "a call, 1,000 endpoints over 3", ratio: ratio(thousand, three), limit: 1.2 },
    {
      figure: "deadline, metadata, two interceptors over a bare call",
      ratio: ratio("deadline, metadata, two interceptors", three),
      limit: 1.3,
    },
  ];
  console.log(`With ${callUs} µs for a call on its connection:`);
  console.table(
    Object.fromEntries(
      checks.map(({ figure, ratio, limit }) => [figure, { ratio: Math.round(ratio * 1000) / 1000, limit }]),
    ),
  );
  const high = checks.filter(({ ratio, limit }) => !(ratio <= limit));
  for (const { figure } of high) console.error(`${figure}: above its limit`);
  return high.length === 0 ? 0 : 1;
}

/** Bun and Deno say that they are Node too. */
function isNode(): boolean {
  return !("bun" in process.versions) && !("deno" in process.versions);
}

function runOn(runtime: RuntimeName, args: readonly string[]): Promise<number> {
  const runArguments = { bun: ["run"], deno: ["run", "-A", "--no-check"], node: [] }[runtime];
  const child = spawn(findRuntime(runtime).path, [...runArguments, fileURLToPath(import.meta.url), ...args], {
    stdio: "inherit",
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => resolve(code ?? 1));
  });
}

interface Row {
  readonly name: string;
  call(): Promise<unknown>;
  close(): Promise<void>;
}

async function openRows(): Promise<Row[]> {
  const request = { text: "hello" };
  const rows: Row[] = [];
  const add = async (
    name: string,
    transport: Transport,
    close: () => Promise<void>,
    options?: { timeoutMs: number; headers: HeadersInit },
  ) => {
    const client = createClient(EchoService, transport);
    const call = () => client.unary(request, options);
    await call();
    rows.push({ name, call, close });
  };
  const addBalanced = async (
    name: string,
    count: number,
    interceptors: readonly Interceptor[],
    options?: { timeoutMs: number; headers: HeadersInit },
    balancer: NewPicker = roundRobin,
  ) => {
    const transport = createBalancedTransport({
      resolver: createStaticResolver(Array.from({ length: count }, (_, i) => `http://10.0.${i >> 8}.${i & 255}:50051`)),
      connector: answerSoon,
      balancer,
      interceptors,
    });
    await add(name, transport, () => transport.close(), options);
  };
  await add("bare counter", countRound(3), async () => {});
  await addBalanced("balanced, 3 endpoints", 3, []);
  await addBalanced("balanced, 1,000 endpoints", 1000, []);
  await addBalanced("balanced, outcomes wanted", 3, [], undefined, wantOutcomes);
  await addBalanced("deadline and metadata", 3, [], { timeoutMs: 5000, headers: { "x-trace": "1" } });
  await addBalanced("two interceptors", 3, [addToken, countErrors]);
  await addBalanced("deadline, metadata, two interceptors", 3, [addToken, countErrors], {
    timeoutMs: 5000,
    headers: { "x-trace": "1" },
  });
  return rows;
}

/** What is looked at must come to something, or compilers leave it out. */
const seen = { errors: 0, headerBytes: 0, latencyMs: 0 };

/** Interceptors as people write them: one adds to the header, the other looks at how calls end. */
const addToken: Interceptor = (next) => async (request) => {
  request.header.set("authorization", "Bearer x");
  return await next(request);
};
const countErrors: Interceptor = (next) => async (request) => {
  try {
    return await next(request);
  } catch (error) {
    seen.errors++;
    throw error;
  }
};

/** Round-robin that learns how every call ended. */
const wantOutcomes: NewPicker = (ready) => {
  const inner = roundRobin(ready, undefined);
  const done = ({ latencyMs }: CallOutcome) => {
    seen.latencyMs += latencyMs;
  };
  const results = new Map(ready.map((endpoint) => [endpoint.id, { endpoint, done }]));
  return {
    pick(exclude) {
      const picked = inner.pick(exclude);
      return picked && results.get(picked.endpoint.id);
    },
  };
};

const message = create(EchoService.method.unary.output, { text: "hello" });
const [header, trailer] = [new Headers(), new Headers()];

let waiting: (() => void)[] = [];

function answerAll(): void {
  const answered = waiting;
  waiting = [];
  for (const answer of answered) answer();
}

/** A call on a connection without a connection: looks at what it was given, as one that sends it would. */
const unaryCall: UnaryCaller["unaryCall"] = (method, signal, _timeoutMs, headerInit) =>
  new Promise((resolve) => {
    if (headerInit instanceof Headers) headerInit.forEach(look);
    else if (headerInit !== undefined) for (const [, value] of Object.entries(headerInit)) look(value);
    const onAbort = () => {};
    signal?.addEventListener("abort", onAbort);
    if (waiting.length === 0) setImmediate(answerAll);
    waiting.push(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve({ stream: false, service: method.parent, method, header, trailer, message: message as never });
    });
  });

function look(value: string): void {
  seen.headerBytes += value.length;
}

function createMemoryTransport(): Transport {
  return {
    unary: (method, signal, timeoutMs, headerInit, input) =>
      unaryCall(method, signal, timeoutMs, headerInit, input, () => undefined),
    stream: () => Promise.reject(new Error("unary only")),
  };
}

const answerSoon: Connector = (endpoint, listener) =>
  new MemoryConnection(endpoint, (state) => listener.onState(state));

class MemoryConnection implements Connection {
  readonly endpoint: Endpoint;
  readonly transport: Transport = createMemoryTransport();
  readonly caller: UnaryCaller = { unaryCall };
  state: ConnectionState = { type: "idle" };
  readonly #tell: (state: ConnectionState) => void;

  constructor(endpoint: Endpoint, tell: (state: ConnectionState) => void) {
    this.endpoint = endpoint;
    this.#tell = tell;
  }

  connect(): void {
    this.state = { type: "connecting" };
    queueMicrotask(() => this.#move({ type: "ready", sinceMs: 0 }));
  }

  async drain(): Promise<void> {
    await this.close();
  }

  async close(): Promise<void> {
    if (this.state.type !== "closed") this.#move({ type: "closed", reason: undefined });
  }

  #move(state: ConnectionState): void {
    this.state = state;
    this.#tell(state);
  }
}

/** What a client has to do at least that spreads its calls over its connections. */
function countRound(count: number): Transport {
  const transports = Array.from({ length: count }, createMemoryTransport);
  let next = 0;
  const pick = (): Transport => {
    const picked = transports[next];
    next = next + 1 < count ? next + 1 : 0;
    if (picked === undefined) throw new Error("there is none");
    return picked;
  };
  return { unary: (...args) => pick().unary(...args), stream: (...args) => pick().stream(...args) };
}

/** Nanoseconds per call, of each row in every round. */
async function measure(rows: readonly Row[], rounds: number, calls: number): Promise<Map<string, number[]>> {
  const times = new Map(rows.map(({ name }) => [name, [] as number[]]));
  for (let round = -3; round < rounds; round++) {
    // Each row has every place in the order as often.
    for (let i = 0; i < rows.length; i++) {
      const row = rows[(((i + round) % rows.length) + rows.length) % rows.length];
      if (row === undefined) continue;
      const { user, system } = process.cpuUsage();
      await Promise.all(Array.from({ length: inFlight }, () => callInTurn(row, Math.floor(calls / inFlight))));
      const spent = process.cpuUsage();
      // The first rounds are for the compilers.
      if (round >= 0) times.get(row.name)?.push(((spent.user - user + spent.system - system) * 1000) / calls);
    }
  }
  return times;
}

/** Nanoseconds that round-robin takes for one pick and its end, for each number of endpoints, in every round. */
function measurePicks(counts: readonly number[], rounds: number): Map<number, number[]> {
  const picksARound = 500_000;
  const pickers = counts.map((count) => {
    const endpoints = Array.from({ length: count }, (_, i) => createEndpoint(String(i).padStart(4, "0")));
    return { count, picker: roundRobin(endpoints, undefined) };
  });
  const times = new Map(counts.map((count) => [count, [] as number[]]));
  for (let round = -3; round < rounds; round++) {
    for (const { count, picker } of round % 2 === 0 ? pickers : pickers.toReversed()) {
      const startMs = performance.now();
      for (let i = 0; i < picksARound; i++) picker.pick()?.done({ latencyMs: i });
      if (round >= 0) times.get(count)?.push(((performance.now() - startMs) * 1e6) / picksARound);
    }
  }
  return times;
}

function createEndpoint(id: string): Endpoint {
  return { id, url: `http://${id}.test:1`, weight: 1, health: "passing", zone: "", tags: [], meta: {} };
}

async function callInTurn(row: Row, calls: number): Promise<void> {
  for (let i = 0; i < calls; i++) await row.call();
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? Number.NaN;
}

process.exitCode = await main(process.argv.slice(2));
