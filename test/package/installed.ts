// Looks into a node_modules folder. Changes nothing.

import { globSync, statSync } from "node:fs";

/** Names of the packages under a project's node_modules, sorted; one that is there twice comes twice. */
export function installedPackages(folder: string): readonly string[] {
  return globSync("**/node_modules/{@*/*,[^.@]*}/package.json", { cwd: folder })
    .map((path) => path.replaceAll("\\", "/").replace(/^.*node_modules\/(.*)\/package\.json$/, "$1"))
    .sort();
}

/** Bytes of all files under a folder, in millions. */
export function megabytesOf(folder: string): number {
  const files = globSync("**/*", { cwd: folder, withFileTypes: true }).filter((entry) => entry.isFile());
  return files.reduce((sum, { parentPath, name }) => sum + statSync(`${parentPath}/${name}`).size, 0) / 1e6;
}
