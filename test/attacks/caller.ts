// A well-behaved caller: one small call after the other on one connection, by the generated client, or (`echo`) by nothing but HTTP/2.
// `report` on a line of stdin prints what it saw since the last one.

import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "@connectrpc/connect";
import { createHttp2Connector } from "../../src/connector/http2-connector.ts";
import { createStaticResolver } from "../../src/resolver/static-resolver.ts";
import { createBalancedTransport } from "../../src/transport/balanced-transport.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { connectH2 } from "../support/h2-echo.ts";

const [kind, port] = process.argv.slice(2);
let latencies: number[] = [];
const failures: string[] = [];

process.stdin.setEncoding("utf8");
process.stdin.on("data", () => {
  latencies.sort((a, b) => a - b);
  const p99Ms = latencies[Math.floor(latencies.length * 0.99)] ?? 0;
  console.log(JSON.stringify({ calls: latencies.length, failures: failures.splice(0), p99Ms }));
  latencies = [];
});
process.stdin.on("end", () => process.exit(0));

const call = kind === "echo" ? await echoCaller() : grpcCaller();
for (let number = 0; ; number++) {
  const startedMs = performance.now();
  try {
    await call();
    latencies.push(performance.now() - startedMs);
  } catch (error) {
    failures.push(String(error));
  }
  if (number === 100) {
    latencies = [];
    console.log("calling");
  }
  await sleep(1);
}

function grpcCaller(): () => Promise<unknown> {
  const transport = createBalancedTransport({
    resolver: createStaticResolver([`http://127.0.0.1:${port}`]),
    connector: createHttp2Connector(),
    defaultTimeoutMs: 5000,
  });
  const client = createClient(EchoService, transport);
  return () => client.unary({ text: "a well-behaved caller" });
}

async function echoCaller(): Promise<() => Promise<unknown>> {
  const client = await connectH2(Number(port));
  const body = new Uint8Array(100);
  return () => client.call("/bytes/100", body);
}
