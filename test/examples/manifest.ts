// Holds an example's package.json against the project's own: what both name must be the same. Changes nothing.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { projectFolder } from "../tools/runtimes.ts";

/** The fields of a package.json that are read here. */
export interface Manifest {
  readonly version?: string;
  readonly private?: boolean;
  readonly type?: string;
  readonly scripts?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

/** Names of the folders of examples/ that are projects. */
export function exampleNames(): string[] {
  return readdirSync(join(projectFolder, "examples"), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort();
}

/** The package.json of an example. Throws where it has none. */
export function exampleManifest(name: string): Manifest {
  return JSON.parse(readFileSync(join(projectFolder, "examples", name, "package.json"), "utf8"));
}

/** The project's own. */
export function projectManifest(): Manifest {
  return JSON.parse(readFileSync(join(projectFolder, "package.json"), "utf8"));
}

/** What is wrong with an example's package.json; empty where nothing is. */
export function manifestComplaints(example: Manifest, project: Manifest): string[] {
  const found: string[] = [];
  if (example.private !== true) found.push('must be "private"');
  if (example.type !== "module") found.push('must have the "type" of modules');
  for (const script of ["test", "types"]) {
    if (example.scripts?.[script] === undefined) found.push(`has no script "${script}"`);
  }
  for (const [name, range] of Object.entries(example.dependencies ?? {})) {
    const allowed = allowedRanges(name, project);
    if (allowed.length > 0 && !allowed.includes(range)) {
      found.push(`has ${name} ${range}, the project ${allowed.join(" or ")}`);
    }
  }
  for (const [name, version] of Object.entries(example.devDependencies ?? {})) {
    if (!/^\d+\.\d+\.\d+$/.test(version)) found.push(`has ${name} ${version}, which is no exact version`);
    const wanted = project.devDependencies?.[name];
    if (wanted !== undefined && version !== wanted) found.push(`has ${name} ${version}, the project ${wanted}`);
  }
  return found;
}

/** The project's own range, and that from the version it is tested with: generated code wants a runtime as new as its plugin. */
function allowedRanges(name: string, project: Manifest): string[] {
  if (name === "lictor") return [`file:../../lictor-${project.version}.tgz`];
  const range = project.peerDependencies?.[name] ?? project.dependencies?.[name];
  const tested = project.devDependencies?.[name];
  return [...new Set([...(range ? [range] : []), ...(tested ? [`^${tested}`] : [])])];
}
