// A well-behaved caller: one small call after the other on one connection to each of several ports, by the generated client, or (`echo`) by
// nothing but HTTP/2. A line on stdin prints what it saw of each since the last one.

import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "@connectrpc/connect";
import { createHttp2Connector } from "../../src/connector/http2-connector.ts";
import { createStaticResolver } from "../../src/resolver/static-resolver.ts";
import { createBalancedTransport } from "../../src/transport/balanced-transport.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { connectH2 } from "../support/h2-echo.ts";

const warmUpCalls = 100;
const [kind, ...ports] = process.argv.slice(2);
const callers = await Promise.all(ports.map((port) => startCaller(port)));
console.log("calling");

process.stdin.setEncoding("utf8");
process.stdin.on("data", () => console.log(JSON.stringify(callers.map((report) => report()))));
process.stdin.on("end", () => process.exit(0));

/** Resolves when the slow first calls are made, with what reports and begins anew. */
async function startCaller(port: string): Promise<() => unknown> {
  const call = kind === "echo" ? await echoCaller(port) : grpcCaller(port);
  for (let count = 0; count < warmUpCalls; count++) await call();
  let latencies: number[] = [];
  const failures: string[] = [];
  (async () => {
    for (; ; await sleep(1)) {
      const startedMs = performance.now();
      try {
        await call();
        latencies.push(performance.now() - startedMs);
      } catch (error) {
        failures.push(String(error));
      }
    }
  })();
  return () => {
    latencies.sort((a, b) => a - b);
    const p99Ms = latencies[Math.floor(latencies.length * 0.99)] ?? 0;
    const report = { calls: latencies.length, failures: failures.splice(0), p99Ms };
    latencies = [];
    return report;
  };
}

function grpcCaller(port: string): () => Promise<unknown> {
  const transport = createBalancedTransport({
    resolver: createStaticResolver([`http://127.0.0.1:${port}`]),
    connector: createHttp2Connector(),
    defaultTimeoutMs: 5000,
  });
  const client = createClient(EchoService, transport);
  return () => client.unary({ text: "a well-behaved caller" });
}

async function echoCaller(port: string): Promise<() => Promise<unknown>> {
  const client = await connectH2(Number(port));
  const body = new Uint8Array(100);
  return () => client.call("/bytes/100", body);
}
