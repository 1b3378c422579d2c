// Loads the module that `lictor serve MODULE` names and checks what it exports. Serves nothing.

import { statSync } from "node:fs";
import { createRequire } from "node:module";
import { isAbsolute, resolve } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { type Clock, systemClock } from "../core/clock.ts";
import { type Logger, silentLogger } from "../core/logger.ts";
import type { ServiceModule } from "../server/service-module.ts";
import { UsageError } from "./command-line.ts";
import { oneLine } from "./one-line.ts";

const sample =
  "write `export default (router) => router.service(MyService, { ... })`, or `export default { routes, ... }`";

/** The module's own failure, not a wrong flag. Its cause is what the module threw. */
export class ModuleError extends Error {
  override readonly name = "ModuleError";
}

/** The compiler demands an entry for each field of ServiceModule. */
const fields: Readonly<Record<keyof ServiceModule, true>> = {
  routes: true,
  interceptors: true,
  maxReceiveBytes: true,
  sendCompression: true,
  compressMinBytes: true,
  fallback: true,
  cors: true,
  service: true,
  drainMarginMs: true,
  http2: true,
  maxConcurrentStreams: true,
  maxConnections: true,
  maxConnectionsPerPeer: true,
  keepalive: true,
  maxConnectionAgeMs: true,
  maxConnectionAgeGraceMs: true,
  maxConnectionIdleMs: true,
  maxReaderPauseMs: true,
  authorize: true,
  overload: true,
  close: true,
};

/** Options of `serve` that are the command line's, and how it says them. */
const flagsFor: Readonly<Record<string, string>> = {
  host: "--host",
  port: "--port",
  tls: "--tls-cert and --tls-key",
  advertise: "--advertise",
  consul: "--consul",
  reflection: "--reflection",
  graceMs: "--grace",
  logger: "--log",
};

/** How long a module may load before a warning names it. */
const slowMs = 10_000;

/** Who is told that a module takes long, and by which clock. */
export interface LoadServiceModuleOptions {
  /** Silent by default. */
  readonly logger?: Logger;
  readonly clock?: Clock;
}

/**
 * Loads a module by a path from `folder`, by a package's name as seen from there, or by a URL. Throws UsageError where there
 * is none, or where its default export is no service; ModuleError where it throws while it is loaded, and where it awaits at its
 * top level what cannot come any more, if the runtime tells. A warning names a module that has not finished after 10 s; it is
 * waited for all the same.
 */
export async function loadServiceModule(
  specifier: string,
  folder: string,
  options: LoadServiceModuleOptions = {},
): Promise<ServiceModule> {
  const url = locate(specifier, folder);
  let exports: Readonly<Record<string, unknown>>;
  try {
    exports = await importPatiently(specifier, url, options);
  } catch (error) {
    throw error instanceof ModuleError ? error : loadFailure(specifier, error);
  }
  return readServiceModule(specifier, exports);
}

async function importPatiently(
  specifier: string,
  url: string,
  { logger = silentLogger, clock = systemClock }: LoadServiceModuleOptions,
): Promise<Readonly<Record<string, unknown>>> {
  const stuck = Promise.withResolvers<never>();
  // Node has nothing left to do. Deno 2.9.6 ends the process by itself then, with its own words and 1; Bun 1.4.5 goes on for ever.
  const onIdle = () =>
    stuck.reject(new ModuleError(`Cannot load ${specifier} as its top level awaits what cannot come any more`));
  // Holds the process until then, so that every runtime names the module before it ends.
  const cancel = clock.schedule(slowMs, () =>
    logger.warn("the module has not finished loading: its top level awaits something", { module: specifier }),
  );
  process.once("beforeExit", onIdle);
  try {
    return await Promise.race([import(url), stuck.promise]);
  } finally {
    process.off("beforeExit", onIdle);
    cancel();
  }
}

function locate(specifier: string, folder: string): string {
  // A Windows path, C:\..., is no URL.
  if (/^[a-z][a-z0-9+.-]+:/i.test(specifier)) return specifier;
  const path = resolve(folder, specifier);
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isFile()) return pathToFileURL(path).href;
  if (found?.isDirectory()) throw new UsageError(`${specifier} is a folder: name the module in it`);
  if (isAbsolute(specifier) || /^\.{1,2}[\\/]/.test(specifier)) throw new UsageError(`there is no file ${path}`);
  try {
    return pathToFileURL(createRequire(resolve(folder, "package.json")).resolve(specifier)).href;
  } catch {
    // A package whose exports are for `import` alone can be resolved only by the module that imports it.
    throw new UsageError(
      `there is no file ${path}, and no package that ${folder} can require by the name ${JSON.stringify(specifier)}: give the path of its file`,
    );
  }
}

/** What went wrong, and what to do where Node is too old to read TypeScript (https://nodejs.org/api/typescript.html). */
function loadFailure(specifier: string, error: unknown): Error {
  const text = error instanceof Error ? error.message : String(error);
  if (errorCode(error) === "ERR_UNKNOWN_FILE_EXTENSION" && /"\.[cm]?ts"/.test(text)) {
    return new UsageError(
      `Node ${process.versions.node} does not run TypeScript by itself: take Node 22.18 or later, Bun or Deno, ` +
        "or from Node 22.6 on set NODE_OPTIONS=--experimental-strip-types",
    );
  }
  return new ModuleError(`Cannot load ${specifier}: ${oneLine(text)}`, { cause: error });
}

function errorCode(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

function readServiceModule(specifier: string, loaded: Readonly<Record<string, unknown>>): ServiceModule {
  // What a compiler has made CommonJS of has its default export within: https://nodejs.org/api/esm.html#interoperability-with-commonjs
  const exports = isRecord(loaded.default) && loaded.default.__esModule === true ? loaded.default : loaded;
  const service = exports.default;
  if (typeof service === "function") return { routes: service as ServiceModule["routes"] };
  const refuse = (what: string) => new UsageError(`${specifier} ${what}: ${sample}`);
  if (service === undefined) {
    const functions = Object.keys(exports).filter((name) => typeof exports[name] === "function");
    const hint = functions.length === 0 ? "" : ` (beside ${functions.join(", ")})`;
    throw refuse(`has no default export${hint}`);
  }
  if (!isRecord(service)) throw refuse(`exports ${kindOf(service)} by default`);
  if (typeof service.routes !== "function") {
    throw refuse(`exports an object without the function "routes" by default`);
  }
  for (const name of Object.keys(service)) {
    if (Object.hasOwn(fields, name)) continue;
    const instead = flagsFor[name] === undefined ? "" : `, which is the command line's: ${flagsFor[name]}`;
    throw new UsageError(
      `${specifier} exports the unknown option ${JSON.stringify(name)}${instead} (known: ${Object.keys(fields).join(", ")})`,
    );
  }
  if (service.close !== undefined && typeof service.close !== "function") {
    throw new UsageError(`${specifier} exports ${kindOf(service.close)} as "close", which must be a function`);
  }
  // The other fields are checked by serve().
  return service as unknown as ServiceModule;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "a list" : `a ${typeof value}`;
}
