// The figures of full runs: kept in results.json, one for each scenario and client, and put into the table of docs/reliability.md.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { clientPrograms } from "./client-programs.ts";
import type { Result } from "./report.ts";
import { scenarios } from "./scenarios/index.ts";

/** What is kept of a scenario with a client. */
interface Figures {
  readonly calls: number;
  readonly failed: number;
  readonly allowed: number;
  readonly duplicated: number;
  readonly p999Ms: number;
  readonly misses: readonly string[];
  readonly seed: number;
  readonly pace: number;
}

/** How the run was made. */
export interface RunSettings {
  readonly seed: number;
  /** 1: as long as the table says. */
  readonly pace: number;
}

type Kept = Record<string, Record<string, Figures>>;

const file = fileURLToPath(new URL("results.json", import.meta.url));
const page = fileURLToPath(new URL("../../docs/reliability.md", import.meta.url));
const begin = "<!-- chaos: npm run chaos -- --write -->";
const end = "<!-- /chaos -->";

/** Puts a result in place of that of an earlier run, and writes the table anew. Throws Error where the page has no place for it. */
export function writeResult({ scenario, client, verdict }: Result, { seed, pace }: RunSettings): void {
  const kept: Kept = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {};
  const { calls, failed, allowed, duplicated, p999Ms, misses } = verdict;
  kept[scenario.name] = {
    ...kept[scenario.name],
    [client]: { calls, failed, allowed, duplicated, p999Ms, misses, seed, pace },
  };
  writeFileSync(file, `${JSON.stringify(kept, undefined, 2)}\n`);
  const text = readFileSync(page, "utf8");
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from < 0 || to < from) throw new Error(`Cannot write the table as ${page} has no place for it`);
  writeFileSync(page, `${text.slice(0, from)}${begin}\n\n${tableOf(kept)}\n\n${text.slice(to)}`);
}

function tableOf(kept: Kept): string {
  const rows = scenarios.map(({ name, must }) => {
    const cells = clientPrograms.map((client) => cellOf(kept[name]?.[client]));
    return `| ${[`\`${name}\``, must, ...cells].join(" | ")} |`;
  });
  return [
    `| scenario | must | ${clientPrograms.join(" | ")} |`,
    `| --- | --- | ${clientPrograms.map(() => "---").join(" | ")} |`,
    ...rows,
  ].join("\n");
}

function cellOf(figures: Figures | undefined): string {
  if (figures === undefined) return "";
  const { calls, failed, allowed, duplicated, p999Ms, misses, pace } = figures;
  const told = [
    `**${failed}** of ${calls} failed`,
    ...(allowed > 0 ? [`${allowed} allowed`] : []),
    ...(duplicated > 0 ? [`${duplicated} ran twice`] : []),
    `p99.9 ${p999Ms < 0 ? "never" : `${Math.round(p999Ms)} ms`}`,
    ...misses.filter((miss) => !/^\d+ (calls failed that must not|runs too many)/.test(miss)),
    ...(pace === 1 ? [] : [`${pace} of the time`]),
  ];
  return told.join("; ");
}
