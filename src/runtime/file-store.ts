// An EndpointStore of files: what a process knew of a service, for the one that starts while Consul is down. Reads and writes in one
// folder; keeps no file open.

import { createHash, randomUUID } from "node:crypto";
import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { EndpointStore } from "../core/endpoint-store.ts";
import { isObject } from "../core/json-shape.ts";

/**
 * Creates a store of files in `folder`, one for each key, which is made where it is missing, for its owner alone. A file is replaced whole, by
 * rename, and readable by its owner alone: any number of processes may share the folder, and whoever crashes while it
 * writes leaves the last file standing. `load` rejects for a file that cannot be read or is none of ours, `save` where the disk refuses.
 * Throws TypeError where `folder` is empty.
 */
export function fileStore(folder: string): EndpointStore {
  if (typeof folder !== "string" || folder === "") {
    throw new TypeError(`Cannot store endpoints as the folder must be a path: received ${JSON.stringify(folder)}`);
  }
  return {
    async load(key) {
      let text: string;
      try {
        text = await readFile(pathOf(folder, key), "utf8");
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
      const file: unknown = JSON.parse(text);
      if (!isObject(file) || file.key !== key)
        throw new TypeError(`Cannot use ${pathOf(folder, key)} as it is of another kind`);
      return file.stored;
    },
    async save(key, stored) {
      const path = pathOf(folder, key);
      // Never the same twice: processes in containers that share a volume share their ids, too.
      const temporary = `${path}.${randomUUID()}.tmp`;
      await mkdir(folder, { recursive: true, mode: 0o700 });
      try {
        await writeThrough(temporary, `${JSON.stringify({ key, stored }, undefined, 1)}\n`);
        await rename(temporary, path);
      } catch (error) {
        await rm(temporary, { force: true }).catch(() => {});
        throw error;
      }
    },
  };
}

/** Keys are of any length and hold what no file name may. */
function pathOf(folder: string, key: string): string {
  return join(folder, `endpoints-${createHash("sha256").update(key).digest("hex").slice(0, 32)}.json`);
}

/** Writes a new file, down to the disk: a rename may outlive a power failure that its contents do not. */
async function writeThrough(path: string, text: string): Promise<void> {
  const file = await open(path, "wx", 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
