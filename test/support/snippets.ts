// Code of documents, put into files that this checkout or a stranger's project can run and compile, against the agent at hand.
// Knows nothing of what the code does.

import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type CodeBlock, codeBlocks } from "./markdown.ts";
import { type SpawnedCommand, spawnCommand, spawnScript } from "./spawn-command.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** Where the package's names lead, from a folder of snippets. */
const sources: Readonly<Record<string, string>> = {
  lictor: "../../src/index.ts",
  "lictor/edge": "../../src/edge.ts",
  "lictor/edge/tcp": "../../src/edge-tcp.ts",
  "lictor/testing": "../../src/testing/index.ts",
};

/** The agent of every document. */
const usualAgent = "127.0.0.1:8500";

/** Code of a document. */
export interface Snippet extends CodeBlock {
  /** Of the file that it is written to, without the extension: that of the document, and a number. */
  readonly name: string;
}

/** For the `skip` option of what is the same on every runtime. */
export const onlyOnce: string | false =
  "deno" in process.versions || "bun" in process.versions ? "the same on every runtime: run on Node" : false;

/** The TypeScript of a document (a path from the project's folder), but for what is a file's or another library's. */
export function readSnippets(document: string): readonly Snippet[] {
  const name = basename(document, ".md").toLowerCase();
  return codeBlocks(readFileSync(join(root, document), "utf8"))
    .filter(({ language, mark }) => language === "ts" && !/^(file|of): /.test(mark ?? ""))
    .map((block, number) => ({ ...block, name: `${name}-${number}` }));
}

/** Code of a document, with the agent at this address in place of the usual one. */
export function withAgent(code: string, consulAddress: string): string {
  return code.replaceAll(usualAgent, new URL(consulAddress).host);
}

/** A folder of snippets; dispose of it when done. */
export interface SnippetFolder extends Disposable {
  /** Writes a snippet for the agent at this address. A snippet may import `./gen/...` of examples/own-service. */
  write(snippet: Snippet, consulAddress: string): void;
  /** Starts a snippet on this runtime; one that imports node:test by the runtime's test runner. */
  start(snippet: Snippet): SpawnedCommand;
  /** Compiles all that was written. Rejects with what the compiler says. */
  compile(): Promise<void>;
}

/** Makes an empty folder inside the project, where packages are found, and which git ignores. */
export function createSnippetFolder(): SnippetFolder {
  mkdirSync(join(root, "dist"), { recursive: true });
  const folder = mkdtempSync(join(root, "dist", "snippets-"));
  cpSync(join(root, "examples/own-service/gen"), join(folder, "gen"), { recursive: true });
  return {
    write({ name, text }, consulAddress) {
      // A snippet without imports is a module too.
      writeFileSync(join(folder, `${name}.ts`), `${unbuilt(withAgent(text, consulAddress))}export {};\n`);
    },
    start({ name, text }) {
      const script = `./dist/${basename(folder)}/${name}.ts`;
      const isTest = text.includes('from "node:test"');
      return isTest ? spawnCommand(process.execPath, [...testArguments(), script]) : spawnScript(script, []);
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

function unbuilt(code: string): string {
  return code.replaceAll(/"(lictor(?:\/\w+)*)"/g, (whole, name: string) =>
    name in sources ? `"${sources[name]}"` : whole,
  );
}
