// Outlives the runner that started it, only to kill what the runner leaves behind where it dies without a word: frozen servers, agents.
// Knows the runner's children by /proc, and does nothing where there is none.
//
//   guard.ts RUNNER_PID        ends when its stdin does, which the runner holds open

import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";

/** How often it looks who is there. */
const everyMs = 300;

const runner = process.argv[2] ?? "";
/** When each child began: a number that is given out again belongs to another process. */
const children = new Map<string, string>();

const looking = setInterval(look, everyMs);
process.stdin.on("data", () => {});
process.stdin.on("end", () => {
  clearInterval(looking);
  for (const [pid, began] of children) {
    if (statusOf(pid)?.began !== began) continue;
    try {
      process.kill(Number(pid), "SIGKILL");
    } catch {
      // It is gone already.
    }
  }
});

function look(): void {
  for (const pid of processes()) {
    const status = statusOf(pid);
    if (status?.parent === runner && pid !== String(process.pid)) children.set(pid, status.began);
  }
  for (const [pid, began] of children) if (statusOf(pid)?.began !== began) children.delete(pid);
}

function processes(): string[] {
  try {
    return readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  } catch {
    return [];
  }
}

/** Undefined for a process that is gone. */
function statusOf(pid: string): { readonly parent: string; readonly began: string } | undefined {
  try {
    // After the name, which may hold anything but is in parentheses: proc(5).
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
      .replace(/^.*\) /s, "")
      .split(" ");
    return { parent: fields[1] ?? "", began: fields[19] ?? "" };
  } catch {
    return undefined;
  }
}
