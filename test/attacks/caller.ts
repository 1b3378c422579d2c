// A well-behaved caller: one small call after the other on one connection. `report` on a line of stdin prints what it saw since the last one.

import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { connectH2 } from "../support/h2-echo.ts";

const [port, path = "/"] = process.argv.slice(2);
let latencies: number[] = [];
let failed = 0;

process.stdin.setEncoding("utf8");
process.stdin.on("data", () => {
  latencies.sort((a, b) => a - b);
  const p99Ms = latencies[Math.floor(latencies.length * 0.99)] ?? 0;
  console.log(JSON.stringify({ calls: latencies.length, failed, p99Ms }));
  latencies = [];
  failed = 0;
});
process.stdin.on("end", () => process.exit(0));

const client = await connectH2(Number(port));
const body = new Uint8Array(100);
for (let number = 0; ; number++) {
  const startedMs = performance.now();
  try {
    await client.call(path, body);
    latencies.push(performance.now() - startedMs);
  } catch {
    failed++;
    if (client.session.isClosed) process.exit(1);
  }
  if (number === 100) {
    latencies = [];
    console.log("calling");
  }
  await sleep(1);
}
