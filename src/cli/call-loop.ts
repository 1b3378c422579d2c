// Calls SayHello one time after another, as the original's client does, and writes a line for each. Knows no flags, no process.

import { ConnectError } from "@connectrpc/connect";
import { codeToString } from "@connectrpc/connect/protocol-connect";
import { type Clock, sleep, systemClock } from "../core/clock.ts";
import { oneLine } from "./one-line.ts";

/** The one method that is called. */
export interface HelloCaller {
  sayHello(
    request: { name: string; num1: number; num2: number },
    options: { timeoutMs: number; signal: AbortSignal },
  ): Promise<{ readonly message: string; readonly result: number }>;
}

/** What is called, how often, and where the lines go. */
export interface CallLoopOptions {
  readonly client: HelloCaller;
  readonly name: string;
  /** Pause between an answer and the next call, in milliseconds. */
  readonly pauseMs: number;
  /** Deadline of each call, in milliseconds. */
  readonly timeoutMs: number;
  /** How many calls. Absent: for ever. */
  readonly calls?: number;
  /** Ends the loop at once, in the middle of a call or a pause. A call it cuts counts as not made. */
  readonly signal: AbortSignal;
  /** Takes one line without its line break. */
  readonly write: (line: string) => void;
  readonly clock?: Clock;
}

/** Calls until the count is reached or the signal aborts. Never rejects for a call that failed: that is a line and a count. */
export async function callInLoop(options: CallLoopOptions): Promise<{ calls: number; failures: number }> {
  const {
    client,
    name,
    pauseMs,
    timeoutMs,
    calls = Number.POSITIVE_INFINITY,
    signal,
    write,
    clock = systemClock,
  } = options;
  const made = { calls: 0, failures: 0 };
  while (!signal.aborted) {
    try {
      const { message, result } = await client.sayHello({ name, num1: 1, num2: 2 }, { timeoutMs, signal });
      write(`client get message: ${oneLine(message)}, result: ${result}`);
    } catch (error) {
      if (signal.aborted) break;
      made.failures++;
      write(`client call SayHello failed: ${describeFailure(error)}`);
    }
    made.calls++;
    if (made.calls >= calls) break;
    try {
      await sleep(pauseMs, clock, signal);
    } catch {
      break;
    }
  }
  return made;
}

/** A failed call's code and text on one line: `unavailable no instance`. */
export function describeFailure(error: unknown): string {
  const { code, rawMessage } = ConnectError.from(error);
  return oneLine(`${codeToString(code)} ${rawMessage}`.trimEnd());
}
