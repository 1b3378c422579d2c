// What package.json and deno.json must say alike, for those who install from npm and from JSR. Reads no file.

/** As much of package.json as has a counterpart. */
export interface PackageJson {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly exports: Readonly<Record<string, string | { readonly types: string; readonly default: string }>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

/** As much of deno.json as has a counterpart. */
export interface DenoJson {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly exports: Readonly<Record<string, string>>;
  readonly imports: Readonly<Record<string, string>>;
}

/**
 * Lists what differs: a line `- package.json: ...` and a line `+ deno.json: ...` for each side that says something which the
 * other does not. Empty where they agree. JSR has scoped names only, so the scope is deno.json's own.
 */
export function manifestDifferences(npm: PackageJson, deno: DenoJson): string[] {
  const said = new Set(factsOfPackageJson(npm));
  const answered = new Set(factsOfDenoJson(deno));
  return [
    ...[...said].filter((fact) => !answered.has(fact)).map((fact) => `- package.json: ${fact}`),
    ...[...answered].filter((fact) => !said.has(fact)).map((fact) => `+ deno.json: ${fact}`),
  ];
}

function factsOfPackageJson(npm: PackageJson): string[] {
  const entries = Object.entries(npm.exports)
    // Files as they are, such as package.json, are for npm's tools.
    .flatMap(([entry, target]) => (typeof target === "string" ? [] : [[entry, target] as const]))
    .flatMap(([entry, target]) => [
      `entry ${entry}: types of ${sourceOf(target.types, ".d.ts")}`,
      `entry ${entry}: code of ${sourceOf(target.default, ".js")}`,
    ]);
  const packages = Object.entries({ ...npm.dependencies, ...npm.peerDependencies });
  return [
    ...factsOfBoth(npm.name, npm),
    ...entries,
    ...packages.map(([name, range]) => `package ${name}: npm:${name}@${range}`),
  ];
}

function factsOfDenoJson(deno: DenoJson): string[] {
  return [
    ...factsOfBoth(deno.name.replace(/^@[^/]+\//, ""), deno),
    ...Object.entries(deno.exports).flatMap(([entry, source]) => [
      `entry ${entry}: types of ${source}`,
      `entry ${entry}: code of ${source}`,
    ]),
    ...Object.entries(deno.imports).map(([name, target]) => `package ${name}: ${target}`),
  ];
}

function factsOfBoth(name: string, { version, license }: { version: string; license: string }): string[] {
  return [`name ${name}`, `version ${version}`, `license ${license}`];
}

/** The source that a built file came from; the path itself where it is no built file. */
function sourceOf(built: string, extension: string): string {
  return built.startsWith("./dist/") && built.endsWith(extension)
    ? `./${built.slice("./dist/".length, -extension.length)}.ts`
    : built;
}
