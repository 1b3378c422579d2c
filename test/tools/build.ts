// `npm run build`: what npm ships, in dist/src and dist/gen. Takes away what an earlier build left there, as all of it is
// packed; touches nothing else in dist.

import { execFileSync } from "node:child_process";
import { globSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { dirname, relative } from "node:path";
import process from "node:process";
import { projectFolder } from "./runtimes.ts";

const dist = `${projectFolder}dist/`;

for (const folder of ["src", "gen"]) rmSync(dist + folder, { recursive: true, force: true });
const tsc = realpathSync(`${projectFolder}node_modules/.bin/tsc`);
execFileSync(process.execPath, [tsc, "-p", "tsconfig.build.json"], { cwd: projectFolder, stdio: "inherit" });

// The compiler copies package.json to where the source says it is. A second manifest misleads: publint warns of it, and
// bundlers take what they find nearest. What was built reads the package's own, one folder up.
rmSync(`${dist}package.json`, { force: true });
for (const file of globSync("{src,gen}/**/*.js", { cwd: dist })) {
  const copy = `${relative(dirname(file), ".")}/package.json`;
  const text = readFileSync(dist + file, "utf8");
  const mended = text.replaceAll(`"${copy}"`, `"../${copy}"`);
  if (mended !== text) writeFileSync(dist + file, mended);
}
