// The rows: who is measured, and how each one's programs are started. Starts nothing.

import { existsSync } from "node:fs";
import { delimiter } from "node:path";
import process from "node:process";
import { findRuntime, projectFolder, type RuntimeName } from "../../test/tools/runtimes.ts";
import { isOnPath } from "./cores.ts";
import type { Invocation } from "./program.ts";

/** Where `npm run bench:setup` puts what it builds and fetches. */
export const cacheFolder: string = `${projectFolder}node_modules/.cache/bench/`;

/** What kinds of calls a row makes and answers. */
export type Talent = "unary" | "payload" | "streams";

/** One of those that are compared. */
export interface Row {
  readonly name: string;
  readonly talents: readonly Talent[];
  /** Why it cannot run here; undefined where it can. */
  readonly missing: string | undefined;
  /** `targets` are `host:port`. */
  client(targets: readonly string[], variant?: string): Invocation;
  server(ports: number): Invocation;
}

/** What the rows are made for. */
export interface RowOptions {
  /** Runs lictor's rows, and the others in TypeScript unless `peers` says otherwise. */
  readonly runtime: RuntimeName;
  /** Runs the rows in TypeScript that are not lictor's. Default: `runtime`. */
  readonly peers?: RuntimeName | undefined;
  /** Handed on to lictor's programs: names of its connector and of its server's engine. */
  readonly connector?: string | undefined;
  readonly http2?: string | undefined;
}

/** What the name of a row ends with that runs on Node whatever the runtime of the others is. */
export const onNode = " on Node";

/** All rows, the fastest to be expected first. */
export function listRows({ runtime, peers = runtime, connector, http2 }: RowOptions): readonly Row[] {
  const all: readonly Talent[] = ["unary", "payload", "streams"];
  const typescript = (name: string, talents: readonly Talent[], on = peers): Row => ({
    name,
    talents,
    missing: undefined,
    client: (targets) => script(on, `bench/programs/${name}-client.ts`, toTargets(targets)),
    server: (ports) => script(on, `bench/programs/${name}-server.ts`, [`--ports=${ports}`]),
  });
  const reference = (name: string): Row => ({ ...typescript(name, ["unary"], "node"), name: name + onNode });
  return [
    {
      ...typescript("lictor", all),
      client: (targets, variant) =>
        script(runtime, "bench/programs/lictor-client.ts", [
          ...optional("connector", connector),
          ...optional("variant", variant),
          ...toTargets(targets),
        ]),
      server: (ports) =>
        script(runtime, "bench/programs/lictor-server.ts", [...optional("http2", http2), `--ports=${ports}`]),
    },
    binary("grpc-go", "lictor-bench-go", all),
    binary("tonic", "lictor-bench-tonic", all),
    typescript("http2-raw", ["unary", "payload"]),
    typescript("grpc-js", all),
    {
      name: "nice-grpc",
      talents: ["unary"],
      missing: needs(`${projectFolder}bench/nice-grpc/node_modules/nice-grpc`),
      client: (targets) => script(peers, "bench/nice-grpc/client.ts", toTargets(targets)),
      server: (ports) => script(peers, "bench/nice-grpc/server.ts", [`--ports=${ports}`]),
    },
    typescript("connect-node", all),
    // Where most people run them, when the others run elsewhere.
    ...(peers === "node" ? [] : [reference("grpc-js"), reference("connect-node")]),
    typescript("tcp-echo", ["unary"]),
    // The floor under all of them: a program that does nothing else, in a language that hides nothing.
    binary("tcp-echo-go", "lictor-bench-go", ["unary"], "echo-"),
  ];
}

/** The row of that name. */
export function findRow(rows: readonly Row[], name: string): Row {
  const row = rows.find((one) => one.name === name);
  if (row === undefined) throw new Error(`there is no row ${name}`);
  return row;
}

/** Whether the row measures sockets alone: then both of its ends are its own. */
export function isFloor({ name }: Row): boolean {
  return name.startsWith("tcp-echo");
}

/** What the client rows share, the best of what is there. */
export function sharedServer(rows: readonly Row[]): Pick<Row, "name" | "talents" | "server"> {
  const built = ["grpc-go", "tonic"].map((name) => findRow(rows, name)).find(({ missing }) => missing === undefined);
  return (
    built ?? {
      name: "canned frames (Node)",
      talents: ["unary"],
      server: (ports) => script("node", "bench/programs/canned-server.ts", [`--ports=${ports}`]),
    }
  );
}

/** What calls the server rows, the best of what is there; never lictor's. */
export function loadGenerator(rows: readonly Row[]): Pick<Row, "name" | "talents" | "client"> {
  const go = findRow(rows, "grpc-go");
  if (go.missing === undefined) return go;
  if (existsSync(`${cacheFolder}bin/h2load`) || isOnPath("h2load")) {
    const env = { PATH: `${cacheFolder}bin${delimiter}${process.env.PATH ?? ""}` };
    return {
      name: "h2load",
      talents: ["unary"],
      client: (targets) => ({ ...script("node", "bench/programs/h2load-client.ts", toTargets(targets)), env }),
    };
  }
  return {
    name: "http2-raw (Node)",
    talents: ["unary", "payload"],
    client: (targets) => script("node", "bench/programs/http2-raw-client.ts", toTargets(targets)),
  };
}

function binary(name: string, file: string, talents: readonly Talent[], prefix = ""): Row {
  const program = cacheFolder + file;
  const env = { GOMAXPROCS: "1" };
  return {
    name,
    talents,
    missing: needs(program),
    client: (targets) => ({ program, args: [`${prefix}client`, "--targets", targets.join(",")], env }),
    server: (ports) => ({ program, args: [`${prefix}server`, "--ports", String(ports)], env }),
  };
}

/** A script on a runtime, with the collector within reach of `usage`. */
function script(runtime: RuntimeName, file: string, args: readonly string[]): Invocation {
  const flags = {
    bun: ["run"],
    deno: ["run", "-A", "--no-check", "--no-lock", "--v8-flags=--expose-gc"],
    node: ["--expose-gc"],
  }[runtime];
  return { program: findRuntimePath(runtime), args: [...flags, projectFolder + file, ...args] };
}

const runtimePaths = new Map<RuntimeName, string>();

function findRuntimePath(runtime: RuntimeName): string {
  let path = runtimePaths.get(runtime);
  if (path === undefined) {
    path = findRuntime(runtime).path;
    runtimePaths.set(runtime, path);
  }
  return path;
}

function optional(name: string, value: string | undefined): string[] {
  return value === undefined ? [] : [`--${name}=${value}`];
}

function toTargets(targets: readonly string[]): string[] {
  return [`--targets=${targets.join(",")}`];
}

function needs(path: string): string | undefined {
  return existsSync(path) ? undefined : "not built: npm run bench:setup";
}
