// A stranger's tsconfig.json: strict, with every declaration of every package checked.

import { writeFileSync } from "node:fs";
import { join } from "node:path";

/** Writes it. `options` are compilerOptions, over the strict ones. */
export function writeTypeScriptConfig(
  folder: string,
  name: string,
  options: Readonly<Record<string, unknown>>,
  include: readonly string[] = ["*.ts", "own-service/**/*.ts"],
): void {
  const strict = {
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
    rootDir: ".",
    rewriteRelativeImportExtensions: true,
  };
  writeFileSync(join(folder, name), JSON.stringify({ compilerOptions: { ...strict, ...options }, include }));
}
