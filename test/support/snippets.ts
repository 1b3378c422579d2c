// Code of documents, put into files that this checkout can run and compile: unbuilt, and against the agent at hand. Knows
// nothing of what the code does.

import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type SpawnedCommand, spawnCommand, spawnScript } from "./spawn-command.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** Where the package's names lead, from a folder of snippets. */
const sources: Readonly<Record<string, string>> = {
  lictor: "../../src/index.ts",
  "lictor/edge": "../../src/edge.ts",
  "lictor/testing": "../../src/testing/index.ts",
};

/** The agent of every document. */
const usualAgent = "127.0.0.1:8500";

/** A folder of snippets; dispose of it when done. */
export interface SnippetFolder extends Disposable {
  /** Writes a snippet, as TypeScript, for the agent at this address. A snippet may import `./gen/...` of examples/own-service. */
  write(name: string, snippet: string, consulAddress?: string): void;
  /** Starts a snippet on this runtime; one that imports node:test by the runtime's test runner. */
  start(name: string): SpawnedCommand;
  /** Compiles all that was written. Rejects with what the compiler says. */
  compile(): Promise<void>;
}

/** Makes an empty folder inside the project, where packages are found, and which git ignores. */
export function createSnippetFolder(): SnippetFolder {
  mkdirSync(join(root, "dist"), { recursive: true });
  const folder = mkdtempSync(join(root, "dist", "snippets-"));
  cpSync(join(root, "examples/own-service/gen"), join(folder, "gen"), { recursive: true });
  const tests = new Set<string>();
  return {
    write(name, snippet, consulAddress = `http://${usualAgent}`) {
      if (snippet.includes('from "node:test"')) tests.add(name);
      // A snippet without imports is a module too.
      writeFileSync(join(folder, `${name}.ts`), `${toCheckout(snippet, consulAddress)}export {};\n`);
    },
    start(name) {
      const script = `./dist/${basename(folder)}/${name}.ts`;
      return tests.has(name) ? spawnCommand(process.execPath, [...testArguments(), script]) : spawnScript(script, []);
    },
    async compile() {
      const compilerOptions = { isolatedDeclarations: false };
      const tsconfig = { extends: "../../tsconfig.json", include: ["*.ts"], compilerOptions };
      writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(tsconfig));
      await runTool("tsc", ["-p", folder]).catch((error: { stdout?: string }) => {
        throw new Error(error.stdout || String(error), { cause: error });
      });
    },
    [Symbol.dispose]() {
      rmSync(folder, { recursive: true });
    },
  };
}

/** The output with the ports of documents: 10000 for the first server that answered, and so on. */
export function withUsualPorts(output: string): string {
  const ports = [...new Set([...output.matchAll(/127\.0\.0\.1:(\d+)/g)].map(([, port]) => port))];
  return output.replaceAll(/127\.0\.0\.1:(\d+)/g, (_, port) => `127.0.0.1:${10_000 + ports.indexOf(port)}`);
}

/** The first line that does something, to name a snippet by. */
export function titleOf(snippet: string): string {
  const [, line = ""] = /^(?!import |} from |\s|\/\/|$)(.+)$/m.exec(snippet) ?? [];
  return line;
}

/** Runs a script of the project's tools on this runtime; resolves with what it prints. */
export async function runTool(tool: string, args: readonly string[], cwd: string = root): Promise<string> {
  const script = realpathSync(join(root, "node_modules/.bin", tool));
  const { stdout } = await promisify(execFile)(process.execPath, [script, ...args], { cwd });
  return stdout;
}

function testArguments(): readonly string[] {
  if ("deno" in process.versions) return ["test", "-A", "--no-check"];
  return "bun" in process.versions ? ["test"] : ["--test"];
}

function toCheckout(snippet: string, consulAddress: string): string {
  return snippet
    .replaceAll(/"(lictor(?:\/\w+)?)"/g, (whole, name: string) => (name in sources ? `"${sources[name]}"` : whole))
    .replaceAll(usualAgent, new URL(consulAddress).host);
}
