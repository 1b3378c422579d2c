// Runs the project's commands as processes of their own, on the runtime that runs the test, and reads what they print.

import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** Where and how a command runs. */
export interface SpawnOptions {
  /** Added to a small environment that holds no Consul settings; undefined takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** `pipe` where the test wants to write or to close it. Default `ignore`. */
  readonly stdin?: "pipe" | "ignore";
  /** Makes it lead a process group of its own, so that what it starts is killed with it. Default false. */
  readonly isGroup?: boolean;
}

/** A command that was started. */
export interface SpawnedCommand extends AsyncDisposable {
  readonly process: ChildProcess;
  readonly stdout: string;
  readonly stderr: string;
  /** Lines of stdout that are whole. */
  readonly lines: readonly string[];
  /**
   * Resolves when `ready(this)` is true, looked at whenever something is printed. Rejects when the process ends before, or after
   * `withinMs` (default 20000).
   */
  until(ready: (command: SpawnedCommand) => boolean, withinMs?: number): Promise<void>;
  /** Addresses of the first `count` lines `ready HOST:PORT`, once they are there. */
  ready(count: number): Promise<readonly string[]>;
  /** Exit code, or 128 + n for signal n, when all output has been read. */
  readonly exitCode: Promise<number>;
  signal(signal: NodeJS.Signals): void;
  /** SIGKILL, to all of its group where it leads one. Idempotent. */
  readonly kill: () => void;
}

const root = new URL("../../", import.meta.url);
const signalNumbers: Readonly<Record<string, number>> = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGKILL: 9, SIGTERM: 15 };

/** Starts `script` (a path from the project's root) on this runtime. */
export function spawnScript(script: string, args: readonly string[], options: SpawnOptions = {}): SpawnedCommand {
  const runtimeArgs = "deno" in process.versions ? ["run", "-A", "--no-check"] : [];
  return spawnCommand(process.execPath, [...runtimeArgs, fileURLToPath(new URL(script, root)), ...args], options);
}

/** Starts any program. */
export function spawnCommand(program: string, args: readonly string[], options: SpawnOptions = {}): SpawnedCommand {
  const { env = {}, cwd = fileURLToPath(root), stdin = "ignore", isGroup = false } = options;
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(CONSUL_|PORT$|LOG_LEVEL$|FORCE_COLOR$|NODE_)/.test(name),
  );
  const child = spawn(program, args, {
    cwd,
    env: { ...Object.fromEntries(kept), ...env },
    stdio: [stdin, "pipe", "pipe"],
    detached: isGroup,
  });
  let stdout = "";
  let stderr = "";
  let ended = false;
  const watchers = new Set<() => void>();
  const wake = () => {
    for (const watcher of [...watchers]) watcher();
  };
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
    wake();
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
    wake();
  });
  const exitCode = new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      ended = true;
      wake();
      resolve(code ?? 128 + (signalNumbers[signal ?? ""] ?? 0));
    });
  });
  exitCode.catch(() => {});

  const command: SpawnedCommand = {
    process: child,
    get stdout() {
      return stdout;
    },
    get stderr() {
      return stderr;
    },
    get lines() {
      return stdout.split("\n").slice(0, -1);
    },
    until(ready, withinMs = 20_000) {
      return new Promise((resolve, reject) => {
        const end = (error?: Error) => {
          watchers.delete(look);
          clearTimeout(timer);
          if (error === undefined) resolve();
          else reject(error);
        };
        const print = () => `\nstdout: ${stdout}\nstderr: ${stderr}`;
        const look = () => {
          if (ready(command)) end();
          else if (ended) end(new Error(`${args.join(" ")} ended too soon${print()}`));
        };
        const timer = setTimeout(
          () => end(new Error(`${args.join(" ")}: not within ${withinMs} ms${print()}`)),
          withinMs,
        );
        watchers.add(look);
        look();
      });
    },
    async ready(count) {
      const addresses = () => command.lines.flatMap((line) => (line.startsWith("ready ") ? [line.slice(6)] : []));
      await command.until(() => addresses().length >= count);
      return addresses().slice(0, count);
    },
    exitCode,
    signal(signal) {
      // Not child.kill(): on Deno 2.9.6 a process that caught the signal and ended with 0 would then count as killed by it.
      if (!ended && child.pid !== undefined) process.kill(child.pid, signal);
    },
    kill() {
      if (ended || child.pid === undefined) return;
      try {
        process.kill(isGroup ? -child.pid : child.pid, "SIGKILL");
      } catch {
        // It is gone already.
      }
    },
    async [Symbol.asyncDispose]() {
      command.kill();
      await exitCode.catch(() => {});
    },
  };
  return command;
}
