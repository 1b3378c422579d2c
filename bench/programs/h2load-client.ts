// The load generator of the server rows where Go's was not built: nghttp2's h2load, behind the benchmark's protocol. It sends a SayHello
// framed by hand, on a connection for each target, and counts an answer of status 200 as right: it can see neither trailers nor messages.

import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { create, toBinary } from "@bufbuild/protobuf";
import { HelloRequestSchema } from "../../gen/HelloService_proto/hello_service_pb.ts";
import { callTimeoutMs, helloRequest, metadataName, metadataValue } from "./call-options.ts";
import type { Command, Phase } from "./commands.ts";
import { frameMessage } from "./grpc-frame.ts";
import { runClient } from "./protocol.ts";

const folder = mkdtempSync(join(tmpdir(), "lictor-bench-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const body = join(folder, "request");
writeFileSync(body, frameMessage(toBinary(HelloRequestSchema, create(HelloRequestSchema, helloRequest(1)))));

await runClient(({ targets }) => ({
  unary: () => Promise.reject(new Error("h2load keeps its calls in flight by itself")),
  run: (command) => run(targets, command),
}));

/** h2load opens all of its connections to one server: the first. It ends by the time, as it cannot heed a count as well. */
async function run(targets: readonly string[], { inFlight = 1, limitMs = 1000 }: Command): Promise<Phase> {
  const log = join(folder, "log");
  rmSync(log, { force: true });
  const connections = Math.min(targets.length, inFlight);
  const headers = {
    "content-type": "application/grpc",
    te: "trailers",
    "grpc-timeout": `${callTimeoutMs}m`,
    [metadataName]: metadataValue,
  };
  const startMs = performance.now();
  const output = await h2load([
    `--duration=${Math.round(limitMs)}ms`,
    `--clients=${connections}`,
    `--max-concurrent-streams=${Math.ceil(inFlight / connections)}`,
    `--data=${body}`,
    `--log-file=${log}`,
    ...Object.entries(headers).map(([name, value]) => `--header=${name}: ${value}`),
    `http://${targets[0]}/HelloService_proto.HelloService/SayHello`,
  ]);
  const wallMs = performance.now() - startMs;
  const count = (pattern: RegExp) => Number(pattern.exec(output)?.[1] ?? 0);
  const failures = count(/(\d+) failed/) + count(/(\d+) [45]xx/);
  const latencies = readLatencies(log);
  const at = (share: number) => latencies[Math.floor(latencies.length * share)] ?? 0;
  return {
    calls: count(/status codes: (\d+) 2xx/),
    failures,
    wallMs,
    cpuMs: 0,
    p50: at(0.5),
    p99: at(0.99),
    ...(failures > 0 ? { error: output } : {}),
  };
}

function h2load(args: readonly string[]): Promise<string> {
  const child = spawn("h2load", args, { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => (code === 0 ? resolve(output) : reject(new Error(`h2load: ${code}\n${output}`))));
  });
}

/** Sorted milliseconds: the log has a line a request, of start, status and duration, in microseconds. */
function readLatencies(log: string): Float64Array {
  const lines = readFileSync(log, "utf8").trimEnd().split("\n");
  return Float64Array.from(lines, (line) => Number(line.split("\t")[2]) / 1000).sort();
}
