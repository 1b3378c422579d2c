// Packs lictor as npm would publish it. Builds a copy, so that neither dist/ nor an archive is left in the checkout.

import { cpSync, existsSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { join, relative } from "node:path";
import { projectFolder } from "../tools/runtimes.ts";
import { type RunProgramOptions, runProgram } from "./run-program.ts";

/** Of no use to a build: paths from the project's folder. */
const leftOut = /(^|[\\/])node_modules$|^(\.git|dist|docs|examples)$/;

/** Writes the archive into a folder; resolves with its path. */
export async function packProject(folder: string, options: RunProgramOptions = {}): Promise<string> {
  const copy = join(folder, "source");
  const filter = (path: string) => !leftOut.test(relative(projectFolder, path));
  cpSync(projectFolder, copy, { recursive: true, filter });
  symlinkSync(join(projectFolder, "node_modules"), join(copy, "node_modules"), "junction");
  await runProgram("npm", ["pack", "--silent", "--pack-destination", folder], copy, options);
  const { version } = JSON.parse(readFileSync(join(copy, "package.json"), "utf8"));
  rmSync(copy, { recursive: true });
  const archive = join(folder, `lictor-${version}.tgz`);
  if (!existsSync(archive)) throw new Error(`Cannot pack lictor as npm made no ${archive}`);
  return archive;
}
