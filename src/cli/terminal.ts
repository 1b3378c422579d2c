// A stream that people read: colours and repainting where it is a terminal, plain lines everywhere else.

import { clearScreenDown, cursorTo, moveCursor } from "node:readline";
import type { Writable } from "node:stream";
import { styleText } from "node:util";
import type { Environment } from "./command-line.ts";

/** Where a command writes for people. Nothing here throws: errors of the stream are its owner's. */
export interface Terminal {
  /** Whether `repaint` works in place. False on pipes and files, with NO_COLOR, and with TERM=dumb: then all is plain text. */
  readonly interactive: boolean;
  readonly columns: number;
  readonly rows: number;
  /** The text in a style, or as it is. */
  style(style: "bold" | "dim" | "red" | "green" | "yellow" | "cyan", text: string): string;
  /** Writes one line, above the painted block if there is one. */
  line(text: string): void;
  /** Replaces the painted block by these lines. Only where `interactive`. */
  repaint(lines: readonly string[]): void;
  /** Leaves the painted block where it stands: later lines come below it. */
  settle(): void;
}

/** The part of a writable stream that a terminal needs. */
export type TerminalStream = Writable & { readonly isTTY?: boolean; readonly columns?: number; readonly rows?: number };

/** Creates a terminal over a stream, usually stdout or stderr. `env` decides about colours: NO_COLOR (https://no-color.org), TERM. */
export function createTerminal(stream: TerminalStream, env: Environment): Terminal {
  const interactive = stream.isTTY === true && !env.NO_COLOR && env.TERM !== "dumb";
  let painted: readonly string[] = [];

  const erase = () => {
    if (painted.length === 0) return;
    moveCursor(stream, 0, -painted.length);
    cursorTo(stream, 0);
    clearScreenDown(stream);
  };
  const paint = (lines: readonly string[]) => {
    painted = lines;
    if (lines.length > 0) stream.write(`${lines.join("\n")}\n`);
  };

  return {
    interactive,
    get columns() {
      // A terminal that does not know its size says 0.
      return stream.columns || 80;
    },
    get rows() {
      return stream.rows || 24;
    },
    style: (style, text) => (interactive ? styleText(style, text, { validateStream: false }) : text),
    line(text) {
      erase();
      stream.write(`${text}\n`);
      paint(painted);
    },
    repaint(lines) {
      erase();
      paint(lines);
    },
    settle() {
      painted = [];
    },
  };
}
