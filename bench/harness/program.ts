// A program of the benchmark as a child process: started on its core, asked a command at a time, ended for certain.

import { type ChildProcessByStdio, spawn } from "node:child_process";
import process from "node:process";
import type { Readable, Writable } from "node:stream";
import type { Answer, Command, Phase, Ready, Usage } from "../programs/commands.ts";

/** How a program is started. */
export interface Invocation {
  readonly program: string;
  readonly args: readonly string[];
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>;
}

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

/** All that run. */
const running = new Set<Child>();
let isOver = false;

/** Ends every program at once, however busy, for good: those that are asked something reject, and no other can be started. */
export function killAll(): void {
  isOver = true;
  for (const child of running) child.kill("SIGKILL");
}

process.on("exit", killAll);

/** What a program's words are kept of. */
const keptCharacters = 2000;

/** A running program. One command at a time. */
export class Program {
  /** Where it listens; empty for clients. */
  ports: readonly number[] = [];
  readonly #child: Child;
  readonly #lines: string[] = [];
  #wake: () => void = () => {};
  #words = "";
  #end: string | undefined;

  private constructor(child: Child) {
    this.#child = child;
    running.add(child);
    let rest = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      this.#lines.push(...lines);
      this.#wake();
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#words = (this.#words + text).slice(-keptCharacters);
    });
    // A program that has gone shows by its end, not by what could not be written to it.
    child.stdin.on("error", () => {});
    const onEnd = (why: string) => {
      running.delete(child);
      this.#end ??= why;
      this.#wake();
    };
    child.once("error", (error) => onEnd(error.message));
    child.once("close", (code, signal) => onEnd(`ended with ${signal ?? code}`));
  }

  /** Starts a program on a core, anywhere where that is undefined; resolves when it says that it is ready. */
  static async start(invocation: Invocation, core: number | undefined, timeoutMs = 20_000): Promise<Program> {
    if (isOver) throw new Error("the run is over");
    const { program, args, env } = invocation;
    const [file, ...rest] = core === undefined ? [program, ...args] : ["taskset", "-c", String(core), program, ...args];
    const child = spawn(file as string, rest, { stdio: ["pipe", "pipe", "pipe"], env: { ...process.env, ...env } });
    const started = new Program(child);
    try {
      started.ports = (JSON.parse(await started.#nextLine("its start", timeoutMs)) as Ready).ports;
      return started;
    } catch (error) {
      started.stop();
      throw error;
    }
  }

  /** Makes calls; rejects where the program cannot. */
  async run(command: Command): Promise<Phase> {
    // The deadlines of the calls under way at the limit, and some more.
    return (await this.#ask(command, (command.limitMs ?? 0) + 15_000)) as Phase;
  }

  /** What the process has used and holds. */
  async usage(gc = false): Promise<Usage> {
    return (await this.#ask({ do: "usage", gc }, 20_000)) as Usage;
  }

  /** Everything else. */
  async tell(command: Command): Promise<void> {
    await this.#ask(command, 90_000);
  }

  /** Ends it now. */
  stop(): void {
    this.#child.kill("SIGKILL");
  }

  async #ask(command: Command, timeoutMs: number): Promise<Answer> {
    this.#child.stdin.write(`${JSON.stringify(command)}\n`);
    const answer: Answer = JSON.parse(await this.#nextLine(command.do, timeoutMs));
    if ("error" in answer && !("calls" in answer)) throw new Error(answer.error);
    return answer;
  }

  async #nextLine(what: string, timeoutMs: number): Promise<string> {
    const untilMs = performance.now() + timeoutMs;
    for (;;) {
      const line = this.#lines.shift();
      if (line !== undefined) return line;
      const words = this.#words === "" ? "" : `: ${this.#words}`;
      if (this.#end !== undefined) throw new Error(`${this.#child.spawnargs.join(" ")} ${this.#end}${words}`);
      const leftMs = untilMs - performance.now();
      if (leftMs <= 0) {
        // What it says from now on would be taken for the answer to another command.
        this.stop();
        throw new Error(`no answer to ${what} in ${timeoutMs} ms${words}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}
