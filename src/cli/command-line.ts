// Reads a command's arguments and environment by its table of flags, writes its help, and turns mistakes into one line
// and exit code 2. Runs nothing of a command itself but the function given.

import process from "node:process";
import { parseArgs } from "node:util";
import type { Flag, FlagTable, FlagValues } from "./flags.ts";
import { flag, Refusal } from "./flags.ts";
import { oneLine } from "./one-line.ts";
import { version } from "./version.ts";

/** Variables of the environment. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** A command: its names, its flags, its help. */
export interface CommandSpec<F extends FlagTable> {
  /** How it is called: `lictor serve`. */
  readonly name: string;
  /** What it does: sentences above the flags. */
  readonly summary: readonly string[];
  readonly flags: F;
  /** The one argument it takes beside flags, if any; always optional. */
  readonly argument?: { readonly name: string; readonly help: string };
  /** Paragraphs below the flags: each a line or more. */
  readonly notes?: readonly string[];
}

/** A command line that was understood. */
export interface Invocation<F extends FlagTable> {
  readonly flags: FlagValues<F>;
  /** Flags on the command line itself: neither defaults nor variables. */
  readonly given: ReadonlySet<string>;
  readonly argument: string | undefined;
}

/** The user asked for something that cannot be: one line, exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

const common = {
  help: flag.toggle({ short: "h", help: "Show this and exit." }),
  version: flag.toggle({ help: "Show the version and exit." }),
};

/**
 * Runs a command: reads its arguments, answers `--help` and `--version` on stdout, and hands the rest to `run`, whose
 * number is the exit code. A UsageError, thrown here or by `run`, is one line on stderr and 2; any other error is one line and 1.
 */
export async function runCommand<F extends FlagTable>(
  spec: CommandSpec<F>,
  args: readonly string[],
  env: Environment,
  run: (invocation: Invocation<F>) => Promise<number>,
): Promise<number> {
  // A reader that is gone or a full disk must not change the exit code.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
  try {
    const invocation = parseCommandLine(spec, args, env);
    if (invocation === "help") {
      process.stdout.write(helpText(spec));
      return 0;
    }
    if (invocation === "version") {
      process.stdout.write(`lictor ${version}\n`);
      return 0;
    }
    return await run(invocation);
  } catch (error) {
    const text = oneLine(error instanceof Error ? error.message : String(error));
    const usage = error instanceof UsageError;
    process.stderr.write(`${spec.name}: ${text}${usage ? " (see --help)" : ""}\n`);
    return usage ? 2 : 1;
  }
}

/** Reads arguments and environment. Throws UsageError with a message of one line. */
export function parseCommandLine<F extends FlagTable>(
  spec: CommandSpec<F>,
  args: readonly string[],
  env: Environment,
): Invocation<F> | "help" | "version" {
  const table: FlagTable = { ...spec.flags, ...common };
  const { tokens } = parseArgs({
    args: [...args],
    // Not strict: the checks below give the same one-line messages on every runtime.
    strict: false,
    tokens: true,
    allowPositionals: true,
    options: Object.fromEntries(
      Object.entries(table).map(([name, { placeholder, short }]) => [
        name,
        { type: placeholder === undefined ? "boolean" : "string", ...(short === undefined ? {} : { short }) },
      ]),
    ),
  });

  const texts = new Map<string, string[]>();
  const rest: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") rest.push(token.value);
    if (token.kind !== "option") continue;
    const known = Object.hasOwn(table, token.name) ? table[token.name] : undefined;
    if (known === undefined) throw new UsageError(`unknown flag ${JSON.stringify(token.rawName)}`);
    const given = texts.get(token.name) ?? [];
    texts.set(token.name, given);
    if (known.placeholder === undefined) {
      if (token.value !== undefined) throw new UsageError(`${token.rawName} takes no value`);
    } else if (token.value === undefined) {
      throw new UsageError(`${token.rawName} needs a value: ${known.placeholder}`);
    } else if (!token.inlineValue && /^-./.test(token.value)) {
      // Far likelier a forgotten value than one that begins with a dash.
      throw new UsageError(
        `${token.rawName} needs a value: ${known.placeholder} (write ${token.rawName}=${token.value} if that is it)`,
      );
    } else {
      given.push(token.value);
    }
  }
  if (texts.has("help")) return "help";
  if (texts.has("version")) return "version";
  const [argument, surplus] = rest;
  if (spec.argument === undefined && argument !== undefined) {
    throw new UsageError(`unexpected argument ${quoted(argument)}`);
  }
  if (surplus !== undefined) throw new UsageError(`unexpected argument ${quoted(surplus)}`);

  const values: Record<string, unknown> = {};
  for (const [name, entry] of Object.entries(spec.flags)) values[name] = readFlag(name, entry, texts.get(name), env);
  return { flags: values as FlagValues<F>, given: new Set(texts.keys()), argument };
}

/** A word of the command line in quotes; of a URL, which may hold a secret, no more than its scheme. */
export function quoted(word: string): string {
  return JSON.stringify(word.replace(/:\/\/.*$/s, "://…"));
}

function readFlag(name: string, entry: Flag<unknown>, given: readonly string[] | undefined, env: Environment): unknown {
  const variable = entry.env === undefined ? undefined : env[entry.env];
  try {
    if (given !== undefined) return entry.read(given);
    // An empty variable counts as unset, as in Consul's own command line.
    return variable === undefined || variable === "" ? entry.fallback : entry.read([variable]);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    throw new UsageError(`${given === undefined ? entry.env : `--${name}`} ${error.message}`);
  }
}

/** The help of a command: usage, flags with defaults and variables, notes. */
export function helpText<F extends FlagTable>(spec: CommandSpec<F>): string {
  const argument = spec.argument === undefined ? "" : ` [${spec.argument.name}]`;
  const rows: [string, string][] = spec.argument === undefined ? [] : [[spec.argument.name, spec.argument.help]];
  for (const [name, entry] of Object.entries<Flag<unknown>>({ ...spec.flags, ...common })) {
    const left = `${entry.short === undefined ? "" : `-${entry.short}, `}--${name}`;
    const facts = [
      ...(entry.repeatable && entry.placeholder !== undefined ? ["repeatable"] : []),
      ...(entry.defaultText === undefined ? [] : [`default ${entry.defaultText}`]),
      ...(entry.env === undefined ? [] : [`environment ${entry.env}`]),
    ];
    rows.push([
      entry.placeholder === undefined ? left : `${left} ${entry.placeholder}`,
      facts.length === 0 ? entry.help : `${entry.help} (${facts.join("; ")})`,
    ]);
  }
  const indent = 2;
  const column = 34;
  const lines = [`Usage: ${spec.name}${argument} [flags]`, "", ...wrap(spec.summary.join(" "), 0), ""];
  for (const [left, right] of rows) {
    const [first = "", ...others] = wrap(right, column);
    const padded = `${" ".repeat(indent)}${left}`.padEnd(column);
    if (padded.length > column || !padded.endsWith(" ")) lines.push(padded.trimEnd(), first);
    else lines.push(`${padded}${first.trimStart()}`);
    lines.push(...others);
  }
  for (const note of spec.notes ?? []) lines.push("", ...wrap(note, 0));
  return `${lines.join("\n")}\n`;
}

function wrap(text: string, indent: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && indent + line.length + 1 + word.length > 100) {
      lines.push(" ".repeat(indent) + line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, " ".repeat(indent) + line];
}
