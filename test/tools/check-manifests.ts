// `npm run manifests`: package.json and deno.json say the same. Prints where they differ, and then exits with 1.

import { readFileSync } from "node:fs";
import process from "node:process";
import { type DenoJson, manifestDifferences, type PackageJson } from "./manifests.ts";
import { projectFolder } from "./runtimes.ts";

const npm: PackageJson = JSON.parse(readFileSync(`${projectFolder}package.json`, "utf8"));
const deno: DenoJson = JSON.parse(readFileSync(`${projectFolder}deno.json`, "utf8"));
const differences = manifestDifferences(npm, deno);
for (const line of differences) console.error(line);
console.log(
  `package.json and deno.json: ${differences.length === 0 ? "the same" : `${differences.length} differences`}`,
);
process.exitCode = differences.length === 0 ? 0 : 1;
