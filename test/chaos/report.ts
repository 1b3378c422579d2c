// Says what became of scenarios: in words and with traces on stderr, as a table, or as one line of JSON.

import type { ClientProgram } from "./client-programs.ts";
import type { JudgedCall, Verdict } from "./judge.ts";
import type { Scenario } from "./scenario.ts";
import type { Stage } from "./stage.ts";

/** What became of one scenario with one client. */
export interface Result {
  readonly scenario: Scenario;
  readonly client: ClientProgram;
  readonly verdict: Verdict;
}

const traceLines = 60;

/** Prints the outcome, and where something was missed all that helps to find out why, with the trace of one call. */
export function printResult({ scenario, client, verdict }: Result, stage: Stage, tookMs: number): void {
  const { calls, failed, allowed, duplicated, p999Ms, misses, reasons, culprits } = verdict;
  const title = titleOf(scenario, client);
  const word = misses.length === 0 ? "ok" : "MISSED";
  const seconds = (tookMs / 1000).toFixed(1);
  console.error(
    `${title}: ${word}, ${calls} calls, ${failed} failed, ${allowed} allowed, ${duplicated} duplicated, p99.9 ${p999Ms} ms (${seconds} s)`,
  );
  for (const [reason, count] of Object.entries(reasons)) console.error(`  ${count} allowed: ${reason}`);
  if (misses.length === 0) return;
  for (const miss of misses) console.error(`  MISSED: ${miss}`);
  const [culprit] = culprits;
  if (culprit !== undefined) printTrace(culprit, culprits.length, stage);
  printOutcomes(verdict);
  printMarks(stage, verdict);
  for (const line of stage.complaints.slice(0, 40)) console.error(`  | ${line}`);
}

/** Prints why a scenario could not be played to its end. */
export function printBreak(error: unknown, stage: Stage): void {
  console.error(`  BROKEN: ${error instanceof Error ? (error.stack ?? error.message) : error}`);
  const lines = stage.traceOf(Date.now() - 5000, Number.POSITIVE_INFINITY);
  for (const line of lines.slice(-traceLines)) console.error(`  | ${line}`);
}

/** Ours needs no name. */
function titleOf({ name }: Scenario, client: ClientProgram): string {
  return client === "lictor" ? name : `${name} (${client})`;
}

/** How the culprits ended, in groups, and when, from the first call on. */
function printOutcomes({ culprits, beganMs }: Verdict): void {
  const groups = Map.groupBy(
    culprits,
    ({ method, done, runs }) =>
      `${method} ${done?.outcome ?? "never ended"} ${done?.fate ?? ""} (${runs.length} runs): ${done?.text ?? ""}`,
  );
  const at = (call: JudgedCall | undefined) => `${(((call?.sentMs ?? beganMs) - beganMs) / 1000).toFixed(1)} s`;
  for (const [group, calls] of [...groups].sort((a, b) => b[1].length - a[1].length).slice(0, 8)) {
    console.error(`  ${calls.length} x ${group} [sent ${at(calls[0])} to ${at(calls.at(-1))}]`);
  }
}

/** What was done, and when, from the first call on. */
function printMarks(stage: Stage, { beganMs }: Verdict): void {
  for (const { atMs, text } of stage.marks) console.error(`  * ${((atMs - beganMs) / 1000).toFixed(1)} s: ${text}`);
}

/** All that is known of one call. */
function printTrace(call: JudgedCall, among: number, stage: Stage): void {
  const { id, method, sentMs, endMs, done, runs } = call;
  console.error(`  one of ${among}: ${id} (${method}), sent at ${sentMs}`);
  for (const { server, atMs } of runs) console.error(`  | run by ${server} at ${atMs}`);
  if (done === undefined) console.error("  | it never ended");
  else console.error(`  | ${done.outcome}, ${done.fate}, after ${done.tookMs} ms, ${done.server}: ${done.text}`);
  const lines = stage.traceOf(sentMs - 1000, Math.min(endMs, sentMs + 60_000) + 200);
  for (const line of lines.slice(0, traceLines)) console.error(`  | ${line}`);
  if (lines.length > traceLines) console.error(`  | ... ${lines.length - traceLines} lines more`);
}

/** One line of JSON, by scenario. */
export function jsonOf(results: readonly Result[]): string {
  return JSON.stringify(
    Object.fromEntries(
      results.map(({ scenario, client, verdict: { calls, failed, allowed, duplicated, p999Ms } }) => [
        titleOf(scenario, client),
        { calls, failed, allowed, duplicated, p999Ms },
      ]),
    ),
  );
}

/** A table in Markdown. */
export function tableOf(results: readonly Result[]): string {
  const rows = results.map(({ scenario, client, verdict }) => {
    const { calls, failed, allowed, duplicated, p999Ms, misses } = verdict;
    const result = misses.length === 0 ? "yes" : misses.join("; ");
    return `| ${[titleOf(scenario, client), scenario.must, calls, failed, allowed, duplicated, p999Ms, result].join(" | ")} |`;
  });
  return [
    "| scenario | must | calls | failed | allowed | run twice | p99.9 ms | held |",
    "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ...rows,
  ].join("\n");
}
