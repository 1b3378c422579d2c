// Runs a program to its end, in surroundings that hold nothing of the npm, the test runner or the Consul around this process.

import process from "node:process";
import { type SpawnOptions, spawnCommand } from "./spawn-command.ts";

/** How a program runs. */
export interface RunProgramOptions extends Pick<SpawnOptions, "env" | "isGroup"> {
  /** Longest that it may take; then it is killed. Default 120000. */
  readonly timeoutMs?: number;
  /** Kills it when aborted. */
  readonly signal?: AbortSignal;
}

/** What a program printed, after exit code 0. */
export interface Output {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program in a folder. Rejects with all that it printed unless it exits with 0. */
export async function runProgram(
  program: string,
  args: readonly string[],
  cwd: string,
  options: RunProgramOptions = {},
): Promise<Output> {
  const { env = {}, isGroup = false, timeoutMs = 120_000, signal } = options;
  await using command = spawnCommand(program, args, { cwd, isGroup, env: { ...surroundings, NO_COLOR: "1", ...env } });
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    command.kill();
  }, timeoutMs);
  signal?.addEventListener("abort", command.kill);
  const code = await command.exitCode.finally(() => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", command.kill);
  });
  const { stdout, stderr } = command;
  if (code !== 0) {
    const ending = isLate ? `did not end within ${timeoutMs / 1000} s` : `exited with ${code}`;
    throw new Error(`${[program, ...args].join(" ")} ${ending} in ${cwd}\n${stdout}\n${stderr}`);
  }
  return { stdout, stderr };
}

/**
 * What `npm run` tells the scripts it runs, taken away: it would tell the npm that they run. Where the registry is, it may.
 * And the authorities that npm must trust on some networks, which `spawnCommand` leaves out with all else of Node's.
 */
const surroundings: Readonly<Record<string, string | undefined>> = {
  ...Object.fromEntries(
    Object.keys(process.env)
      .filter((name) => /^npm_/i.test(name))
      .filter((name) => !/^npm_config_(registry|cache|userconfig|cafile|(https_|no)?proxy)$/i.test(name))
      .map((name) => [name, undefined]),
  ),
  NODE_EXTRA_CA_CERTS: process.env.NODE_EXTRA_CA_CERTS,
};
