// Runs test files, each in a process of its own, a few at a time, and reads the reports that the runners write. Prints one
// line for each file and the whole output of those that failed.

import { spawn } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import process from "node:process";
import { parseJunit, type TestCase } from "./junit.ts";
import { findRuntime, projectFolder, type Runtime, testArguments } from "./runtimes.ts";

/** How files are run. */
export interface RunOptions {
  /** Longest that one file may take, in milliseconds; then it is killed and counts as failed. Default 120000. */
  readonly fileTimeoutMs?: number;
  /** Files at a time. Default: three more than there are cores, as tests mostly wait. */
  readonly jobs?: number;
}

/** Which files of a suite are run, and how. */
export interface SuiteOptions extends RunOptions {
  /** Only files whose path holds one of these; all without one. */
  readonly parts: readonly string[];
}

/** One file on one runtime. */
export interface FileResult {
  readonly runtime: Runtime;
  /** Path from the project's folder. */
  readonly file: string;
  readonly cases: readonly TestCase[];
  readonly tookMs: number;
}

/** Test files in and below a folder, sorted. `folder` is a path from the project's; `parts` as in SuiteOptions. */
export function findTestFiles(folder: string, parts: readonly string[]): string[] {
  return globSync(`${folder}/**/*.test.ts`, { cwd: projectFolder })
    .map((file) => file.replaceAll("\\", "/"))
    .filter((file) => !file.includes("/node_modules/"))
    .filter((file) => parts.length === 0 || parts.some((part) => file.includes(part)))
    .sort();
}

/**
 * Runs the test files of a folder that has a command of its own, and prints the summary; resolves with the exit code: 1 on any
 * failure, and where there is no file to run. Run on Node only; the programs under test run where each case says.
 */
export async function runSuite(folder: string, options: SuiteOptions): Promise<number> {
  const files = findTestFiles(folder, options.parts);
  if (files.length === 0) {
    console.error(`!!! No test file in ${folder} has a path that holds ${options.parts.join(" or ")}`);
    return 1;
  }
  const runtimes = [findRuntime("node")];
  const results = await runFiles(runtimes, files, options);
  printSummary(runtimes, results);
  return tally(results).failed === 0 ? 0 : 1;
}

/**
 * Runs every file on every runtime, runtime by runtime, and resolves when all have ended. Kills what runs on SIGINT and SIGTERM.
 */
export async function runFiles(
  runtimes: readonly Runtime[],
  files: readonly string[],
  options: RunOptions = {},
): Promise<FileResult[]> {
  const { fileTimeoutMs = 120_000, jobs = availableParallelism() + 3 } = options;
  // A test that starts another runtime finds it.
  process.env.PATH = [...runtimes.map(({ path }) => dirname(path)), process.env.PATH].join(delimiter);
  const queue = runtimes.flatMap((runtime) => files.map((file) => ({ runtime, file })));
  const folder = mkdtempSync(join(tmpdir(), "lictor-test-"));
  const results: FileResult[] = [];
  const stopAll = (signal: NodeJS.Signals) => {
    for (const pid of running) killGroup(pid);
    rmSync(folder, { recursive: true, force: true });
    process.exit(signal === "SIGINT" ? 130 : 143);
  };
  process.on("SIGINT", stopAll).on("SIGTERM", stopAll);
  const work = async (report: string) => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      rmSync(report, { force: true });
      const result = await runFile(next.runtime, next.file, report, fileTimeoutMs);
      results.push(result);
    }
  };
  await Promise.all(Array.from({ length: jobs }, (_, job) => work(join(folder, `${job}.xml`))));
  process.off("SIGINT", stopAll).off("SIGTERM", stopAll);
  rmSync(folder, { recursive: true, force: true });
  return results;
}

/** Counts of a set of results. */
export function tally(results: readonly FileResult[]): { passed: number; failed: number; skipped: number } {
  const count = (outcome: TestCase["outcome"]) =>
    results.reduce((sum, { cases }) => sum + cases.filter((testCase) => testCase.outcome === outcome).length, 0);
  return { passed: count("passed"), failed: count("failed"), skipped: count("skipped") };
}

/** Prints what failed, once more and together, and totals for each runtime; the last line is `N passed, N failed[, N skipped]`. */
export function printSummary(runtimes: readonly Runtime[], results: readonly FileResult[]): void {
  console.log();
  for (const { runtime, file, cases } of results) {
    for (const { name, outcome, detail } of cases) {
      if (outcome !== "failed") continue;
      console.log(`FAILED ${runtime.name} ${file}: ${name}`);
      if (detail !== "") console.log(indent(detail.split("\n", 12).join("\n")));
    }
  }
  // Where the time goes: the whole must stay under five minutes on two cores.
  const slowest = results.toSorted((a, b) => b.tookMs - a.tookMs).slice(0, 5);
  console.log(`slowest: ${slowest.map((r) => `${r.file} (${r.runtime.name}, ${seconds(r.tookMs)})`).join(", ")}`);
  for (const runtime of runtimes) {
    const own = results.filter((result) => result.runtime.name === runtime.name);
    console.log(`${runtime.name} ${runtime.version}: ${sentence(tally(own))} in ${own.length} files`);
  }
  console.log(sentence(tally(results)));
}

const running = new Set<number>();

async function runFile(runtime: Runtime, file: string, report: string, timeoutMs: number): Promise<FileResult> {
  const startedMs = performance.now();
  const { output, ending } = await runProcess(runtime, testArguments(runtime.name, file, report), timeoutMs);
  const cases = readReport(report);
  const complaint = complaintAbout(runtime, file, cases, ending);
  if (complaint !== undefined) cases.push({ name: `(the file) ${complaint}`, outcome: "failed", detail: "" });
  const result = { runtime, file, cases, tookMs: performance.now() - startedMs };
  const counts = tally([result]);
  console.log(`${runtime.name.padEnd(4)} ${file}: ${sentence(counts)} (${seconds(result.tookMs)})`);
  if (counts.failed > 0) console.log(`${indent(output)}\n  --- end of the output of ${runtime.name} ${file}`);
  return result;
}

/** What is wrong with the file as a whole, where its tests do not say it. */
function complaintAbout(
  runtime: Runtime,
  file: string,
  cases: readonly TestCase[],
  ending: string,
): string | undefined {
  const anyFailed = cases.some(({ outcome }) => outcome === "failed");
  if (ending !== "" && !anyFailed) return ending;
  // A hang after a failed test is often its consequence, but must not hide.
  if (ending.startsWith("did not end")) return ending;
  if (cases.length === 0) return "ran no test, or wrote no report of it";
  if (runtime.name === "deno" && /\b(t|context)\.skip\(/.test(readFileSync(projectFolder + file, "utf8"))) {
    return "calls t.skip(), which Deno counts as passed: use the option `skip`";
  }
  return undefined;
}

/** Runs a process to its end. `ending` is "" after exit code 0. */
function runProcess(
  runtime: Runtime,
  args: readonly string[],
  timeoutMs: number,
): Promise<{ output: string; ending: string }> {
  return new Promise((resolve) => {
    const child = spawn(runtime.path, args, {
      cwd: projectFolder,
      // A group of its own, so that what a test started dies with it.
      detached: true,
      env: { ...process.env, NO_COLOR: "1" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const pid = child.pid;
    if (pid !== undefined) running.add(pid);
    let output = "";
    const append = (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-200_000);
    };
    child.stdout.on("data", append);
    child.stderr.on("data", append);
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      if (pid !== undefined) killGroup(pid);
    }, timeoutMs);
    const end = (ending: string) => {
      clearTimeout(timer);
      if (pid !== undefined) {
        running.delete(pid);
        killGroup(pid);
      }
      resolve({ output, ending: isLate ? `did not end within ${seconds(timeoutMs)}` : ending });
    };
    child.once("error", (error) => end(`could not be started: ${error.message}`));
    // "exit", not "close": a process left behind keeps the pipes open.
    child.once("exit", (code, signal) => {
      // What is in the pipes still comes; a moment for it.
      setTimeout(() => end(code === 0 ? "" : `ended with ${signal ?? `exit code ${code}`}`), 20);
    });
  });
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // Nobody of the group is left.
  }
}

function readReport(path: string): TestCase[] {
  try {
    return parseJunit(readFileSync(path, "utf8"));
  } catch {
    return [];
  }
}

function sentence({ passed, failed, skipped }: { passed: number; failed: number; skipped: number }): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}

function seconds(durationMs: number): string {
  return `${(durationMs / 1000).toFixed(1)} s`;
}

function indent(text: string): string {
  return text
    .trimEnd()
    .split("\n")
    .map((line) => `    ${line}`)
    .join("\n");
}
