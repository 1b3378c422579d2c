// Calls a server for a time and prints what came of it, as one line of JSON. The first argument: `{ url, seconds, inFlight }`, so many at a time,
// whatever they take; or `{ url, seconds, rate }`, so many a second, whatever becomes of them (an open loop).

import process from "node:process";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createHttp2Connector } from "../../src/connector/http2-connector.ts";
import { createStaticResolver } from "../../src/resolver/static-resolver.ts";
import { createBalancedTransport } from "../../src/transport/balanced-transport.ts";
import { EchoService } from "../../test/gen/lictor/test/v1/echo_pb.ts";

interface Settings {
  readonly url: string;
  readonly seconds: number;
  readonly rate?: number;
  readonly inFlight?: number;
}

/** What became of the calls. `good`: answered within their deadline. */
export interface LoadResult {
  readonly sent: number;
  readonly good: number;
  readonly goodPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly failed: Readonly<Record<string, number>>;
}

const deadlineMs = 1000;
/** Clients, each with a connection of its own: as many callers as one server mostly has, and more streams than one connection allows. */
const clientCount = 16;

const settings = JSON.parse(process.argv[2] ?? "{}") as Settings;
const transports = Array.from({ length: clientCount }, () =>
  createBalancedTransport({
    resolver: createStaticResolver([{ url: settings.url }]),
    connector: createHttp2Connector(),
  }),
);
const clients = transports.map((transport) => createClient(EchoService, transport));
const failed: Record<string, number> = {};
const latencies: number[] = [];
let sent = 0;
let under = 0;

async function call(): Promise<void> {
  const client = clients[sent++ % clientCount];
  if (client === undefined) return;
  under++;
  const sinceMs = performance.now();
  try {
    await client.unary({ text: "x" }, { timeoutMs: deadlineMs });
    latencies.push(performance.now() - sinceMs);
  } catch (error) {
    const { code } = ConnectError.from(error);
    failed[Code[code]] = (failed[Code[code]] ?? 0) + 1;
  } finally {
    under--;
  }
}

const untilMs = settings.seconds * 1000;
const startMs = performance.now();
const elapsed = (): number => performance.now() - startMs;
if (settings.inFlight !== undefined) {
  const loop = async (): Promise<void> => {
    while (elapsed() < untilMs) await call();
  };
  await Promise.all(Array.from({ length: settings.inFlight }, loop));
} else {
  const { rate = 0 } = settings;
  let due = 0;
  while (elapsed() < untilMs) {
    const target = (elapsed() / 1000) * rate;
    for (; due < target; due++) void call();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
const tookMs = elapsed();
while (under > 0) await new Promise((resolve) => setTimeout(resolve, 10));
latencies.sort((a, b) => a - b);
const quantile = (part: number): number => Math.round((latencies[Math.floor(latencies.length * part)] ?? 0) * 10) / 10;
const result: LoadResult = {
  sent,
  good: latencies.length,
  goodPerSecond: Math.round((latencies.length / tookMs) * 1000),
  p50Ms: quantile(0.5),
  p99Ms: quantile(0.99),
  failed,
};
console.log(`result ${JSON.stringify(result)}`);
process.exit();
