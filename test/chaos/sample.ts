// What a process holds at a moment, for the soak: memory and timers as its runtime tells them, file descriptors and connections as the
// system does (Linux).

import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import process from "node:process";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** What a process says of itself. */
export interface Sample {
  /** Bytes in use on the heap, after a collection. */
  readonly heapBytes: number;
  /** Timers that wait, where the runtime says so. */
  readonly timers?: number;
}

/** What the system says of a process. */
export interface SystemSample {
  /** Open file descriptors: sockets, files, pipes. */
  readonly handles: number;
  /** Connections to one port. */
  readonly connections: number;
}

let collect: (() => void) | undefined;

/** Takes one of this process. */
export function takeSample(): Sample {
  const { Bun } = globalThis as { readonly Bun?: { gc(force: boolean): void } };
  if (Bun === undefined) {
    setFlagsFromString("--expose-gc");
    collect ??= runInNewContext("gc");
  }
  // Twice: what the first one finalizes, the second frees.
  for (let round = 0; round < 2; round++) {
    Bun?.gc(true);
    collect?.();
  }
  const heapBytes = process.memoryUsage().heapUsed;
  // Bun names no resources.
  if (Bun !== undefined) return { heapBytes };
  return { heapBytes, timers: process.getActiveResourcesInfo().filter((name) => name === "Timeout").length };
}

/** Takes one of another process; undefined where the system has no /proc. */
export function takeSystemSample(pid: number, port: number): SystemSample | undefined {
  try {
    const descriptors = readdirSync(`/proc/${pid}/fd`);
    const sockets = new Set(
      descriptors.flatMap((descriptor) => {
        const inode = /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/${pid}/fd/${descriptor}`))?.[1];
        return inode === undefined ? [] : [inode];
      }),
    );
    const wanted = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
    const connections = readFileSync(`/proc/${pid}/net/tcp`, "utf8")
      .split("\n")
      .filter((line) => {
        const fields = line.trim().split(/\s+/);
        return fields[2]?.endsWith(wanted) && sockets.has(fields[9] ?? "");
      }).length;
    return { handles: descriptors.length, connections };
  } catch {
    return undefined;
  }
}

/** "" for a descriptor that was closed meanwhile. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
