// How soon a client acts on a change in Consul: from the moment that a bare blocking query of the same agent returns to the moment
// that the client's new picker is in force. No polling is involved, so what is measured is the client's own work, and for an
// endpoint that appears the opening of its connection: nobody can be called over none.
//
//   npm run bench:latency -- [--runtime bun|deno|node] [--events N] [--agent real|embedded]
//
// Both sides live in this process and hold one blocking query each, so which of the two answers the agent writes and the runtime
// reads first is chance: a client that is first counts with a negative time. "In force" is the moment that the transport
// has put the picker where the next call takes it, seen from the microtask after the balancer made it. Exit code 1 where a median is over the limit.

import { spawn } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createClient } from "@connectrpc/connect";
import { roundRobin } from "../src/balancer/round-robin.ts";
import { createConsulTransport } from "../src/client/create-consul-transport.ts";
import { type ConsulClient, createConsulClient } from "../src/consul/consul-client.ts";
import { startEmbeddedConsul } from "../src/testing/embedded-consul.ts";
import { EchoService } from "../test/gen/lictor/test/v1/echo_pb.ts";
import { findConsul, startConsul } from "../test/support/consul-agent.ts";
import { registerInstance, startEchoServer } from "../test/support/echo-server.ts";
import { findRuntime, type RuntimeName, runtimeNames } from "../test/tools/runtimes.ts";

const service = "bench";
/** What the median of every kind of event may be, in milliseconds. */
const limitMs = 10;

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      runtime: { type: "string", default: "bun" },
      events: { type: "string", default: "50" },
      agent: { type: "string", default: findConsul() === undefined ? "embedded" : "real" },
    },
  });
  const runtime = runtimeNames.find((name) => name === values.runtime);
  const events = Number(values.events);
  const isAgent = values.agent === "real" || values.agent === "embedded";
  if (runtime === undefined || !isAgent || !(Number.isInteger(events) && events > 0)) {
    console.error("usage: change-latency.ts [--runtime bun|deno|node] [--events N] [--agent real|embedded]");
    return 2;
  }
  if (!(runtime in process.versions && (runtime !== "node" || isNode()))) return runOn(runtime, args);
  await using agent = values.agent === "real" ? await startConsul() : await startEmbeddedConsul();
  const version = "version" in agent && typeof agent.version === "string" ? ` ${agent.version}` : "";
  const results = await measure(createConsulClient(agent.address), events);
  console.log(
    `From a bare fetch's answer to the picker in force: ${events} events of each kind, ${values.agent} agent${version}, ${runtime} ${process.versions[runtime]}`,
  );
  console.table(Object.fromEntries(Object.entries(results).map(([kind, times]) => [kind, summarize(times)])));
  const slow = Object.entries(results).filter(([, times]) => quantile(times, 0.5) > limitMs);
  for (const [kind] of slow) console.error(`${kind}: the median is over ${limitMs} ms`);
  return slow.length === 0 ? 0 : 1;
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

type Times = Readonly<Record<"register" | "pass" | "fail" | "deregister" | "TTL expiry", number[]>>;

/** Two steady servers, and a third that comes and goes in every way there is. */
async function measure(consul: ConsulClient, events: number): Promise<Times> {
  await using steady = await startEchoServer("steady");
  await using changing = await startEchoServer("changing");
  await registerInstance(consul, { service, id: "steady", port: steady.address.port });
  const seen = createSightings();
  await using _bare = await followBare(consul.address, seen.bare);
  await using transport = createConsulTransport({
    service,
    consul,
    balancer: (ready, previous) => {
      const picker = roundRobin(ready, previous);
      const ids = ready.map(({ id }) => id.slice(id.indexOf("/") + 1));
      // The pool takes it in the same turn of the event loop.
      queueMicrotask(() => seen.picker(ids));
      return picker;
    },
  });
  await createClient(EchoService, transport).unary({});

  const times: Times = { register: [], pass: [], fail: [], deregister: [], "TTL expiry": [] };
  const event = async (kind: keyof Times, isListed: boolean, cause: () => Promise<void>) => {
    const both = seen.both("changing", isListed);
    await cause();
    times[kind].push(await both);
    // Apart from each other, so that none is seen in the answer to another, nor paced (50 changes a second).
    await new Promise((resolve) => setTimeout(resolve, 30));
  };
  const instance = { service, id: "changing", port: changing.address.port };
  for (let i = 0; i < events; i++) {
    await event("register", true, () => registerInstance(consul, instance));
    await event("fail", false, () => consul.agent.failCheck("service:changing"));
    await event("pass", true, () => consul.agent.passCheck("service:changing"));
    await event("deregister", false, () => consul.agent.deregisterService("changing"));
  }
  // One instance that is forgotten and remembered: deregistering it while it is hidden would wake the queries for nothing.
  const forgettable = { ...instance, ttl: "250ms" };
  const listed = seen.both("changing", true);
  await registerInstance(consul, forgettable);
  await listed;
  for (let i = 0; i < events; i++) {
    await event("TTL expiry", false, async () => {});
    const back = seen.both("changing", true);
    await consul.agent.passCheck("service:changing");
    await back;
  }
  return times;
}

interface Sightings {
  /** Ids that the bare query's answer lists. */
  bare(ids: readonly string[], atMs: number): void;
  /** Ids that the picker in force picks from. */
  picker(ids: readonly string[]): void;
  /** Resolves with the milliseconds from the one to the other, once both show `id` as listed, or not. Rejects after 10 s. */
  both(id: string, isListed: boolean): Promise<number>;
}

function createSightings(): Sightings {
  let look: (side: "bare" | "picker", ids: readonly string[], atMs: number) => void = () => {};
  return {
    bare: (ids, atMs) => look("bare", ids, atMs),
    picker: (ids) => look("picker", ids, performance.now()),
    both(id, isListed) {
      const at: Partial<Record<"bare" | "picker", number>> = {};
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          const missing = at.bare === undefined ? "the bare query" : "the client";
          reject(new Error(`${missing} has not seen within 10 s that "${id}" is ${isListed ? "listed" : "gone"}`));
        }, 10_000);
        look = (side, ids, atMs) => {
          if (ids.includes(id) === isListed) at[side] ??= atMs;
          if (at.bare === undefined || at.picker === undefined) return;
          clearTimeout(timer);
          resolve(at.picker - at.bare);
        };
      });
    },
  };
}

/** A blocking query as anyone would write it: the yardstick. The time of an answer is when `fetch` resolves, before the body is read. */
async function followBare(
  address: string,
  onAnswer: (ids: readonly string[], atMs: number) => void,
): Promise<AsyncDisposable> {
  const controller = new AbortController();
  const url = `${address}/v1/health/service/${service}?passing`;
  let index = "0";
  const read = async () => {
    const response = await fetch(`${url}&index=${index}&wait=55s`, { signal: controller.signal });
    const atMs = performance.now();
    const entries: { Service: { ID: string } }[] = await response.json();
    index = response.headers.get("X-Consul-Index") ?? "0";
    onAnswer(
      entries.map(({ Service }) => Service.ID),
      atMs,
    );
  };
  await read();
  const loop = async () => {
    while (!controller.signal.aborted) await read();
  };
  const ended = loop().catch((error: unknown) => {
    if (!controller.signal.aborted) throw error;
  });
  return {
    async [Symbol.asyncDispose]() {
      controller.abort();
      await ended;
    },
  };
}

function summarize(times: readonly number[]): Record<string, number> {
  const rounded = (value: number) => Math.round(value * 100) / 100;
  return {
    events: times.length,
    "median ms": rounded(quantile(times, 0.5)),
    "p95 ms": rounded(quantile(times, 0.95)),
    "max ms": rounded(Math.max(...times)),
  };
}

function quantile(times: readonly number[], share: number): number {
  const sorted = times.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
