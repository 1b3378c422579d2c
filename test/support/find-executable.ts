// Finds programs that tests need beside npm's packages. Starts none.

import { accessSync, constants } from "node:fs";
import { delimiter, resolve } from "node:path";
import process from "node:process";

/**
 * Path of a program: what the environment variable names, else the first of `names` that PATH has. A name may be an absolute
 * path. Throws where the variable names no executable file.
 */
export function findExecutable(variable: string, names: readonly string[]): string | undefined {
  const named = process.env[variable];
  if (named !== undefined && named !== "") {
    if (!isExecutable(named)) throw new Error(`Cannot use ${named} as ${variable} must name an executable file`);
    return named;
  }
  const folders = (process.env.PATH ?? "").split(delimiter);
  return names.flatMap((name) => folders.map((folder) => resolve(folder, name))).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
