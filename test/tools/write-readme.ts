// Writes the generated parts of README anew: run it after changing a flag, an option's docstring or an example. `npm test`
// fails while README lags behind. Runs on Bun, and on Node 24.

import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { renderReadme } from "../support/readme-tables.ts";

const path = fileURLToPath(new URL("../../README.md", import.meta.url));
const command = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const helpOf = async (name: string): Promise<string> =>
  execFileSync(process.execPath, [command, name, "--help"], { encoding: "utf8" });

writeFileSync(path, await renderReadme(readFileSync(path, "utf8"), helpOf));
