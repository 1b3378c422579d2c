// Lines on stdout for scripts and pipes. A reader that went away (`| head`) is a fact to act on, never a crash.

import process from "node:process";

/** Lines on stdout. */
export interface StandardOutput {
  /** Writes one line. Does nothing once the reader is gone. */
  line(text: string): void;
  /** Aborts when nobody reads any more: a write failed, usually with EPIPE. */
  readonly gone: AbortSignal;
}

/** Opens stdout for lines, and keeps a lost stderr from ending the process. Once a process. */
export function openStandardOutput(): StandardOutput {
  const gone = new AbortController();
  process.stdout.on("error", () => gone.abort());
  process.stderr.on("error", () => {});
  return {
    line(text) {
      if (!gone.signal.aborted) process.stdout.write(`${text}\n`);
    },
    gone: gone.signal,
  };
}

/** Resolves when what was written to stdout and stderr has left the process, or cannot: for who ends it. */
export async function flushStandardOutput(): Promise<void> {
  const flushed = [process.stdout, process.stderr].map(
    (stream) => new Promise<void>((resolve) => stream.write("", () => resolve())),
  );
  await Promise.all(flushed);
}
