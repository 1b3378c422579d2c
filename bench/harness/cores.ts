// Which cores the two sides run on: one each, and not the two threads of one core where there is a choice. Reads, changes nothing.

import { existsSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import process from "node:process";

/** The side that a program is on. */
export type Side = "client" | "server";

/** The core of each side; undefined where programs cannot be pinned. */
export type Cores = Readonly<Record<Side, number>> | undefined;

/** Chooses the cores; `note` is told why where there are none. */
export function chooseCores(note: (text: string) => void): Cores {
  const allowed = allowedCores();
  const [client] = allowed;
  const siblings = client === undefined ? [] : siblingsOf(client);
  const server = allowed.find((core) => !siblings.includes(core)) ?? allowed.find((core) => core !== client);
  if (!isOnPath("taskset"))
    note("no taskset on this machine: nothing is pinned, and the sides take CPU from each other");
  else if (client === undefined || server === undefined) note("fewer than two cores: nothing is pinned");
  else return { client, server };
  return undefined;
}

/** The cores that this process may run on (proc(5)); none where the system does not say. */
function allowedCores(): readonly number[] {
  return parseList(/^Cpus_allowed_list:\s*(\S+)/m.exec(readText("/proc/self/status"))?.[1] ?? "");
}

function siblingsOf(core: number): readonly number[] {
  return parseList(readText(`/sys/devices/system/cpu/cpu${core}/topology/thread_siblings_list`).trim());
}

/** `0-2,5` is 0, 1, 2 and 5 (cpuset(7)). */
function parseList(text: string): readonly number[] {
  if (text === "") return [];
  return text.split(",").flatMap((range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** Whether a program of that name is on PATH. */
export function isOnPath(name: string): boolean {
  return (process.env.PATH ?? "").split(delimiter).some((folder) => folder !== "" && existsSync(join(folder, name)));
}
