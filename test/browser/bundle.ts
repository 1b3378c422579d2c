// Bundles a script for a browser with Bun, as a user's bundler would.

import { execFileSync } from "node:child_process";
import { findRuntime, projectFolder } from "../tools/runtimes.ts";

/** The script (a path from the project's folder) and all that it imports, as one ES module. Throws with what Bun says of a failure. */
export function bundleForBrowser(script: string): string {
  const args = ["build", `./${script}`, "--target=browser", "--format=esm"];
  const options = { cwd: projectFolder, encoding: "utf8", maxBuffer: 32 * 1024 * 1024 } as const;
  return execFileSync(findRuntime("bun").path, args, options);
}
