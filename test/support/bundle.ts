// Bundles a script with Bun for where there is no Node, as the bundler of a Worker or a page would.

import { execFileSync } from "node:child_process";
import { findRuntime, projectFolder } from "../tools/runtimes.ts";

const bundles = new Map<string, string>();

/**
 * The script (a path from the project's folder) and all that it imports, as one ES module. Throws with what Bun says of a
 * failure, and where it imports Node modules. Made once per process.
 */
export function bundleForWeb(script: string): string {
  let bundle = bundles.get(script);
  if (bundle === undefined) {
    const args = ["build", `./${script}`, "--target=browser", "--format=esm"];
    const options = { cwd: projectFolder, encoding: "utf8", maxBuffer: 32 * 1024 * 1024 } as const;
    bundle = execFileSync(findRuntime("bun").path, args, options);
    // What lictor/edge would need of Node is a mistake of it.
    if (/from "node:|require\("node:/.test(bundle)) throw new Error(`the bundle of ${script} imports Node modules`);
    bundles.set(script, bundle);
  }
  return bundle;
}
