// The code that a stranger has: the snippets of README, the files of the example that README shows, and a client on fetch.

import { cpSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readSnippets, withAgent } from "../support/snippets.ts";
import { projectFolder } from "../tools/runtimes.ts";

/** Calls HelloService through lictor/edge, by Consul at the address that is its argument, and prints what it says. */
const edgeClient = `import process from "node:process";
import { createEdgeTransport, createHelloClient } from "lictor/edge";

const consul = process.argv[2] ?? "";
const hello = createHelloClient({ consul });
for (let call = 0; call < 2; call++) console.log((await hello.sayHello({ name: "edge" })).message);
console.log(typeof createEdgeTransport({ consul, service: "HelloService" }).discovery());
`;

/** What CommonJS has of it. Prints how many names each entry exports. */
const commonJs = `const entries = ["lictor", "lictor/edge", "lictor/edge/tcp", "lictor/testing"];
console.log(entries.map((entry) => Object.keys(require(entry)).length).join(" "));
const { ConnectError } = require("@connectrpc/connect");
const hello = require("lictor").createHelloClient();
hello.close().then(() => hello.sayHello({})).catch((error) => console.log(error instanceof ConnectError));
`;

/** Writes README's runnable snippets into a folder, with another agent in place of the usual one; returns their names. */
export function writeSnippets(folder: string, consulAddress: string): readonly string[] {
  const snippets = readSnippets("README.md").filter(({ isRunnable }) => isRunnable);
  for (const { name, text } of snippets) writeFileSync(join(folder, `${name}.ts`), withAgent(text, consulAddress));
  return snippets.map(({ name }) => name);
}

/**
 * Copies `own-service` of examples/ into a folder: its programs and what buf generated, without its own manifest. Beside it
 * comes `service.ts`, the same service for the command `lictor`.
 */
export function writeOwnService(folder: string): void {
  for (const name of ["client.ts", "server.ts", "thermometer.ts", "gen"]) {
    cpSync(join(projectFolder, "examples/own-service", name), join(folder, "own-service", name), { recursive: true });
  }
  const service = 'export { thermometer as default } from "./own-service/thermometer.ts";\n';
  writeFileSync(join(folder, "service.ts"), service);
}

/** Writes `edge.ts` and `common.cjs` into a folder. */
export function writeSmallPrograms(folder: string): void {
  writeFileSync(join(folder, "edge.ts"), edgeClient);
  writeFileSync(join(folder, "common.cjs"), commonJs);
}
