// `npm run get-consul`: puts a real Consul agent under node_modules/.cache/consul, out of the distribution's own package, and
// prints its path. Uses apt with sources, lists and cache of its own: the machine's sources and packages stay as they are.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { type ConsulArchive, findConsulArchive } from "./apt-mirror.ts";

const folder = fileURLToPath(new URL("../../node_modules/.cache/consul/", import.meta.url));
const binary = join(folder, "consul");

try {
  if (!works(binary)) getConsul();
  console.log(binary);
} catch (error) {
  console.error(`get-consul: ${error instanceof Error ? error.message : error}`);
  console.error("get-consul: any other Consul binary will do: name it by CONSUL_BIN, or put it on PATH as consul");
  process.exitCode = 1;
}

function works(path: string): boolean {
  try {
    return existsSync(path) && execFileSync(path, ["version"], { encoding: "utf8" }).startsWith("Consul v");
  } catch {
    return false;
  }
}

function getConsul(): void {
  if (!existsSync("/usr/bin/apt-get")) throw new Error("Cannot get Consul as this machine has no apt-get");
  const archive = findConsulArchive(aptSources());
  if (archive === undefined) throw new Error("Cannot get Consul as apt's sources name no mirror of Debian or Ubuntu");
  const work = join(folder, "work");
  rmSync(work, { recursive: true, force: true });
  for (const name of ["lists/partial", "archives/partial", "parts", "package"])
    mkdirSync(join(work, name), { recursive: true });
  writeFileSync(join(work, "sources.list"), `${sourceLine(archive)}\n`);
  const options = aptOptions(work);
  run("apt-get", [...options, "update"], work);
  run("apt-get", [...options, "download", "consul"], join(work, "package"));
  const packageFile = readdirSync(join(work, "package")).find((name) => name.endsWith(".deb"));
  if (packageFile === undefined) throw new Error("Cannot get Consul as apt-get has downloaded nothing");
  run("dpkg-deb", ["-x", join("package", packageFile), "files"], work);
  const unpacked = join(work, "files/usr/bin/consul");
  if (!works(unpacked)) throw new Error(`Cannot get Consul as ${packageFile} holds none that runs here`);
  // In one step: whoever looks sees the whole binary or none.
  renameSync(unpacked, binary);
  rmSync(work, { recursive: true, force: true });
}

function aptSources(): readonly { readonly name: string; readonly text: string }[] {
  const parts = "/etc/apt/sources.list.d";
  const names = existsSync(parts) ? readdirSync(parts).sort() : [];
  const files = ["/etc/apt/sources.list", ...names.map((name) => join(parts, name))];
  return files
    .filter((name) => /\.(?:sources|list)$/.test(name) && existsSync(name))
    .map((name) => ({ name, text: readFileSync(name, "utf8") }));
}

function sourceLine({ uri, suite, component, keyring }: ConsulArchive): string {
  const signed = existsSync(keyring) ? `[signed-by=${keyring}] ` : "";
  return `deb ${signed}${uri} ${suite} ${component}`;
}

function aptOptions(work: string): readonly string[] {
  const settings = {
    "Dir::Etc::SourceList": join(work, "sources.list"),
    "Dir::Etc::SourceParts": join(work, "parts"),
    "Dir::State::Lists": join(work, "lists"),
    "Dir::Cache::Archives": join(work, "archives"),
    "Dir::Cache::pkgcache": "",
    "Dir::Cache::srcpkgcache": "",
    "Acquire::Languages": "none",
  };
  return ["-q", ...Object.entries(settings).flatMap(([name, value]) => ["-o", `${name}=${value}`])];
}

/** Runs a program; what it prints goes to stderr, because stdout is for the path. */
function run(program: string, args: readonly string[], cwd: string): void {
  try {
    execFileSync(program, args, { cwd, stdio: ["ignore", 2, 2] });
  } catch (error) {
    throw new Error(`Cannot get Consul as ${program} failed: ${error instanceof Error ? error.message : error}`);
  }
}
