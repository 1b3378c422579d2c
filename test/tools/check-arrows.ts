// `npm run arrows`: checks the directions of imports between the rooms of src/ (see ARCHITECTURE.md), type imports included.
// Our own rules over Deno's import graph, as the usual tools have no parser yet for TypeScript 7. Changes nothing.

import { globSync, readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import process from "node:process";
import { findCycles, type Import, readImports } from "./import-graph.ts";
import { projectFolder } from "./runtimes.ts";

/** A room may import the rooms above it, and none beside it. Files are entries; the last are server.ts and client.ts. */
const layers: readonly (readonly string[])[] = [
  ["core", "gen"],
  ["consul", "balancer", "http2"],
  ["resolver", "registry", "runtime", "grpc"],
  ["transport", "connector", "server"],
  ["client", "edge"],
  ["hello"],
  ["cli", "index.ts", "edge.ts", "edge-tcp.ts"],
  ["roots"],
];

/** `testing` stands beside the house: it imports little, and only the CLI imports it. */
const testing = { mayImport: ["core", "gen", "consul"], importedBy: ["cli"] };

/** Files that a room may import against the order. */
const exceptions: Readonly<Record<string, readonly string[]>> = {
  connector: ["src/transport/connector.ts"],
  cli: ["package.json"],
};

/** Rooms that run wherever there is fetch: no Node module, and no package that needs one. */
const portableRooms = [
  "core",
  "consul",
  "balancer",
  "http2",
  "resolver",
  "registry",
  "grpc",
  "transport",
  "edge",
  "edge.ts",
  "edge-tcp.ts",
];
/** Entries of which nothing that they reach needs Node. */
const portableEntries = ["src/edge.ts", "src/edge-tcp.ts"];
/** Modules that only one runtime has, and the one file that asks for each, when it is needed. */
const runtimeModules: Readonly<Record<string, string>> = { "cloudflare:sockets": "src/edge/tcp/worker-socket.ts" };
const nodePackages = ["@connectrpc/connect-node"];

const roomsThatKnowHello = ["hello", "cli"];

process.exitCode = main();

function main(): number {
  const files = [...globSync("src/**/*.ts", { cwd: projectFolder }), "server.ts", "client.ts"];
  const imports = readImports(files);
  const shipped = shippedPackages();
  const broken = [
    ...imports.flatMap((one) => complaints(one, shipped).map((complaint) => `${one.from} -> ${one.to}: ${complaint}`)),
    ...findCycles(imports).map((cycle) => `${cycle.join(" -> ")}: is a cycle`),
    ...portableEntries.flatMap((entry) =>
      [...reachedFrom(entry, imports)].filter(needsNode).map((to) => `${entry} reaches ${to}`),
    ),
    ...files.filter((file) => roomOf(file) === undefined).map((file) => `${file}: belongs to no room`),
  ];
  for (const line of broken) console.error(line);
  console.log(`${imports.length} imports, ${broken.length} against the rules`);
  // No import at all means that nothing was seen, not that all is well.
  return broken.length === 0 && imports.length > 0 ? 0 : 1;
}

/** What is wrong with one import. */
function complaints({ from, to, isFile }: Import, shipped: ReadonlySet<string>): string[] {
  const room = roomOf(from);
  if (room === undefined || room === "gen") return [];
  const found: string[] = [];
  if (isFile) {
    const target = roomOf(to);
    if (!mayImport(room, target) && !exceptions[room]?.includes(to)) found.push(`${room} may not import it`);
    if (to.startsWith("gen/HelloService_proto/") && !roomsThatKnowHello.includes(room)) {
      found.push(`only ${roomsThatKnowHello.join(" and ")} may know HelloService`);
    }
  } else if (Object.hasOwn(runtimeModules, to)) {
    if (runtimeModules[to] !== from) found.push(`only ${runtimeModules[to]} may know it`);
  } else if (isBuiltin(to)) {
    if (!to.startsWith("node:")) found.push(`is written node:${to}`);
  } else if (!shipped.has(packageOf(to))) {
    found.push("is neither a dependency nor a peer of the package");
  }
  if (!isFile && needsNode(to) && portableRooms.includes(room)) found.push(`${room} runs where there is no Node`);
  return found;
}

function mayImport(room: string, target: string | undefined): boolean {
  if (target === undefined) return false;
  if (target === room) return true;
  if (room === "testing") return testing.mayImport.includes(target);
  if (target === "testing") return testing.importedBy.includes(room);
  const layerOf = (name: string) => layers.findIndex((layer) => layer.includes(name));
  return layerOf(target) < layerOf(room);
}

/** The room of a file; undefined for one that belongs to none. */
function roomOf(file: string): string | undefined {
  if (file === "server.ts" || file === "client.ts") return "roots";
  if (file.startsWith("gen/")) return "gen";
  // An entry is told by its whole name from the room beside it.
  const match = /^src\/(?:([^/]+)\/|((?:index|edge|edge-tcp)\.ts)$)/.exec(file);
  const room = match?.[1] ?? match?.[2] ?? "";
  return room === "testing" || layers.some((layer) => layer.includes(room)) ? room : undefined;
}

function reachedFrom(file: string, imports: readonly Import[]): Set<string> {
  const reached = new Set([file]);
  // A Set's iteration also visits what is added on the way.
  for (const from of reached) for (const one of imports) if (one.from === from) reached.add(one.to);
  return reached;
}

function needsNode(specifier: string): boolean {
  return isBuiltin(specifier) || nodePackages.includes(packageOf(specifier));
}

/** Packages that a user of ours has: dependencies and peers. */
function shippedPackages(): ReadonlySet<string> {
  const { dependencies, peerDependencies } = JSON.parse(readFileSync(`${projectFolder}package.json`, "utf8"));
  return new Set([...Object.keys(dependencies), ...Object.keys(peerDependencies)]);
}

function packageOf(specifier: string): string {
  return specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
}
