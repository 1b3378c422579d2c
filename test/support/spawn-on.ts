// Starts a script of this project on a runtime of choice, whichever one runs the test.

import { findRuntime, type RuntimeName } from "../tools/runtimes.ts";
import { type SpawnedCommand, type SpawnOptions, spawnCommand } from "./spawn-command.ts";

const runArguments: Readonly<Record<RuntimeName, readonly string[]>> = {
  bun: ["run"],
  deno: ["run", "-A", "--no-check"],
  node: [],
};

/** Starts `script` (a path from the project's root) on `runtime`. */
export function spawnOn(
  runtime: RuntimeName,
  script: string,
  args: readonly string[],
  options: SpawnOptions = {},
): SpawnedCommand {
  return spawnCommand(findRuntime(runtime).path, [...runArguments[runtime], script, ...args], options);
}
