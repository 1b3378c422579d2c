// The version, from package.json: the one place where it is written. Bundlers and `bun build --compile` take it in.

import manifest from "../../package.json" with { type: "json" };

/** The package's version. */
export const version: string = manifest.version;
