// Writes the parts of README that repeat something else: flag tables from `--help`, option tables from docstrings, code from
// examples/, the table of what works where, and the benchmark's figures. A part stands between two comments, the first of which says where
// it comes from. Writes no file itself.

import { readFileSync } from "node:fs";
import { readResults, renderTable } from "../../bench/render-table.ts";
import { type MemberDoc, readInterface } from "./interface-docs.ts";
import { renderMatrix } from "./readme-matrix.ts";

/** What `lictor COMMAND --help` prints. */
export type HelpOf = (command: string) => Promise<string>;

const root = new URL("../../", import.meta.url);

/** For tests of the user's, not for configuring: README speaks of them once. */
const leftOut = new Set(["clock", "random"]);

/** README with every generated part written anew. Throws on a mark of an unknown kind, or one that names nothing. */
export async function renderReadme(readme: string, helpOf: HelpOf): Promise<string> {
  const parts = /<!-- (flags|options|file|table|bench): ([^>]+?) -->\n[\s\S]*?<!-- end -->/g;
  const rendered: string[] = [];
  let at = 0;
  for (const match of readme.matchAll(parts)) {
    const [whole, kind = "", source = ""] = match;
    rendered.push(readme.slice(at, match.index), `<!-- ${kind}: ${source} -->\n\n`);
    rendered.push(await renderPart(kind, source, helpOf), "\n<!-- end -->");
    at = match.index + whole.length;
  }
  return rendered.join("") + readme.slice(at);
}

async function renderPart(kind: string, source: string, helpOf: HelpOf): Promise<string> {
  switch (kind) {
    case "flags":
      return flagTable(await helpOf(source));
    case "options": {
      const [file = "", name = ""] = source.split(" ");
      return optionTable(readInterface(file, name));
    }
    case "file":
      return `\`\`\`ts\n${readFileSync(new URL(source, root), "utf8")}\`\`\`\n`;
    case "table":
      if (source === "what works where") return renderMatrix();
      throw new Error(`Cannot write README as there is no table of ${source}`);
    case "bench":
      if (source === "unary calls") return renderBench();
      throw new Error(`Cannot write README as no benchmark is called ${source}`);
    default:
      throw new Error(`Cannot write README as a part of kind ${kind} is unknown`);
  }
}

/** Figures of the last full runs; a sentence where there was none yet. */
function renderBench(): string {
  const results = readResults();
  return results.length === 0 ? "No full run has been kept yet.\n" : `${renderTable(results)}\n`;
}

function optionTable(members: readonly MemberDoc[]): string {
  const rows = members
    // A single literal only tells the members of a union apart.
    .filter(({ name, type }) => !leftOut.has(name) && !/^"[^"]*"$/.test(type))
    .map(({ name, optional, type, doc }) => [
      `\`${name}${optional ? "?" : ""}\``,
      `\`${type}\``,
      name === "logger" && doc === "" ? "Told of changes of state. Silent by default." : doc,
    ]);
  const silent = rows.find((row) => row.at(-1) === "");
  if (silent !== undefined) throw new Error(`Cannot write README as an option has no docstring: ${silent[0]}`);
  return table(["Option", "Type", "Meaning"], rows);
}

/** Reads the flags of a help text: two spaces, the flag, then its meaning, which may go on in lines of its own. */
function flagTable(help: string): string {
  const rows: string[][] = [];
  for (const line of help.split("\n")) {
    const [, flag, rest] = /^ {2}((?:-\w, )?--?\S+(?: [^\s]+)?|[A-Z]+)(?: {2,}(.*))?$/.exec(line) ?? [];
    if (flag !== undefined) rows.push([flag, rest ?? ""]);
    else if (/^ {4,}\S/.test(line)) rows.at(-1)?.splice(1, 1, `${rows.at(-1)?.[1]} ${line.trim()}`.trim());
  }
  if (rows.length === 0) throw new Error(`Cannot write README as a help text has no flags: ${help}`);
  return table(
    ["Flag", "Meaning", "Default", "Environment"],
    rows.map(([flag = "", text = ""]) => {
      const [, meaning = text, facts = ""] = /^(.*?) \(((?:repeatable|default|environment)[^()]*)\)$/.exec(text) ?? [];
      const named = (word: string) =>
        facts.split("; ").flatMap((fact) => (fact.startsWith(`${word} `) ? [fact.slice(word.length + 1)] : []))[0] ??
        "";
      const isRepeatable = facts.split("; ").includes("repeatable");
      const variable = named("environment");
      return [
        `\`${flag}\``,
        isRepeatable ? `${meaning} Repeatable.` : meaning,
        named("default"),
        variable === "" ? "" : `\`${variable}\``,
      ];
    }),
  );
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return `${[line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n")}\n`;
}
