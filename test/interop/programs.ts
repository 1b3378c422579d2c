// Starts the programs that the interop suite lets meet: our servers and clients on each runtime, and those in Go, Rust and Python
// that `npm run interop` builds. Builds nothing itself.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import process from "node:process";
import type { ConsulProcess } from "../support/consul-agent.ts";
import { type SpawnedCommand, spawnCommand } from "../support/spawn-command.ts";
import { findRuntime, projectFolder, type RuntimeName } from "../tools/runtimes.ts";

/** The Go programs: grpc-go of today, grpc-go of 2019 as the system that lictor replaces, and the tools. */
export type GoProgram =
  | "client-consul"
  | "server-consul"
  | "reflection-client"
  | "client-original"
  | "server-original"
  | "grpcurl"
  | "grpcui";

/** Where `npm run interop` puts the Go programs. */
export const goFolder: string = `${projectFolder}node_modules/.cache/interop/`;

/** For the `skip` option: a reason where the Go programs were not built. False where CI=true, so that there a test fails. */
export const goSkip: string | false =
  existsSync(`${goFolder}grpcurl`) || process.env.CI === "true" ? false : "no Go programs: install Go, npm run interop";

/** Where `npm run interop` installs what the Python program needs. */
export const pythonFolder: string = `${goFolder}python/`;

/** As `goSkip`, for Python. */
export const pythonSkip: string | false =
  existsSync(`${pythonFolder}requirements.txt`) || process.env.CI === "true"
    ? false
    : "no grpcio: install Python 3, npm run interop";

/** Where `npm run interop` puts the descriptors of test/proto/lictor/test/v1/echo.proto. */
export const echoDescriptors: string = `${goFolder}echo.binpb`;

/** Where `npm run interop` builds the Rust program. */
export const rustFolder: string = `${goFolder}rust/`;

const rustProgram = `${rustFolder}debug/lictor-interop`;

/** As `goSkip`, for Rust. */
export const rustSkip: string | false =
  existsSync(rustProgram) || process.env.CI === "true" ? false : "no tonic: install Rust, npm run interop";

/** For the `skip` option: a reason where nghttp2's tools are missing. False where CI=true, so that there a test fails. */
export const nghttp2Skip: string | false =
  spawnSync("h2load", ["--version"]).status === 0 || process.env.CI === "true"
    ? false
    : "no nghttp and h2load: install nghttp2-client";

/** Starts the Rust program: tonic's side of EchoService. */
export function startRust(args: readonly string[]): SpawnedCommand {
  return spawnCommand(rustProgram, args);
}

/** Starts EchoService as we serve it; resolves with its address. */
export async function startEchoServer(runtime: RuntimeName): Promise<SpawnedCommand & { readonly address: string }> {
  return untilReady(startScript(runtime, "test/interop/echo-server.ts", []));
}

/** Resolves with the address that a program prints as "ready HOST:PORT". */
export async function untilReady(command: SpawnedCommand): Promise<SpawnedCommand & { readonly address: string }> {
  const [address = ""] = await command.ready(1);
  return Object.assign(command, { address });
}

/** Starts our client of EchoService. */
export function startEchoClient(runtime: RuntimeName, address: string): SpawnedCommand {
  return startScript(runtime, "test/interop/echo-client.ts", [address]);
}

/** Starts grpc-js's side of EchoService, on Node. */
export function startGrpcJs(args: readonly string[]): SpawnedCommand {
  return startScript("node", "test/interop/echo-grpc-js.ts", args);
}

/** Starts the Python program `test/interop/python/<name>`. */
export function startPython(name: string, args: readonly string[]): SpawnedCommand {
  return spawnCommand(`${pythonFolder}bin/python`, [`test/interop/python/${name}`, ...args]);
}

/** Starts a Go program. */
export function startGo(program: GoProgram, args: readonly string[]): SpawnedCommand {
  return spawnCommand(goFolder + program, args);
}

/** Starts a Go server on a free port; resolves when it is registered. */
export async function startGoServer(
  program: "server-consul" | "server-original",
  consul: ConsulProcess,
  service: string,
): Promise<SpawnedCommand> {
  const server = startGo(program, ["-consul", hostOf(consul), "-service", service]);
  await server.ready(1);
  return server;
}

/** Starts server.ts on a runtime, with free ports; resolves when all its instances serve and Consul lists them. */
export async function startOurServer(
  runtime: RuntimeName,
  consul: ConsulProcess,
  service: string,
  instances = 1,
): Promise<SpawnedCommand> {
  const flags = ["--consul", consul.address, "--service", service, "--port", "0", "--instances", String(instances)];
  const server = startScript(runtime, "server.ts", flags);
  const addresses = await server.ready(instances);
  await untilListed(consul, service, addresses);
  return server;
}

/** Starts client.ts on a runtime. */
export function startOurClient(
  runtime: RuntimeName,
  consul: ConsulProcess,
  service: string,
  args: readonly string[],
): SpawnedCommand {
  return startScript(runtime, "client.ts", ["--consul", consul.address, "--service", service, ...args]);
}

/** `host:port` of the agent's HTTP API. */
export function hostOf(consul: ConsulProcess): string {
  return new URL(consul.address).host;
}

function startScript(runtime: RuntimeName, script: string, args: readonly string[]): SpawnedCommand {
  const runArgs = { bun: ["run"], deno: ["run", "-A", "--no-check"], node: [] }[runtime];
  return spawnCommand(findRuntime(runtime).path, [...runArgs, script, ...args]);
}

async function untilListed(consul: ConsulProcess, service: string, addresses: readonly string[]): Promise<void> {
  let index = "0";
  const signal = AbortSignal.timeout(20_000);
  for (;;) {
    const url = `${consul.address}/v1/health/service/${service}?passing&wait=10s&index=${index}`;
    const response = await fetch(url, { signal });
    index = response.headers.get("X-Consul-Index") ?? "0";
    const entries: { Service: { Address: string; Port: number } }[] = await response.json();
    const listed = entries.map(({ Service }) => `${Service.Address}:${Service.Port}`);
    if (addresses.every((address) => listed.includes(address))) return;
  }
}
