// Shows a running demo: a table that is painted over itself on a terminal, a line a second and a line per change on a pipe.
// Reads the tally; decides nothing.

import { type Clock, systemClock } from "../core/clock.ts";
import type { DemoTally, ServerEvent } from "./demo-tally.ts";
import { oneLine } from "./one-line.ts";
import type { Terminal } from "./terminal.ts";

/** What a view shows, and where. */
export interface DemoViewOptions {
  readonly terminal: Terminal;
  readonly tally: DemoTally;
  /** Headline, without the time. */
  readonly title: string;
  readonly clock?: Clock;
}

/** A view of a demo. Draws from its creation to `finish`. */
export interface DemoView {
  /** Shows a remark: a failure, a line from the servers' log. */
  note(text: string): void;
  /** Shows the state once more, then stops drawing. Idempotent. */
  finish(): void;
}

/** A line, and how it looks on a terminal. */
interface StyledLine {
  readonly text: string;
  readonly style?: "bold" | "dim" | "red" | "green";
}

const repaintEveryMs = 250;
const statusEveryMs = 1000;

/** Starts showing a demo. */
export function showDemo({ terminal, tally, title, clock = systemClock }: DemoViewOptions): DemoView {
  let finished = false;
  let cancel = () => {};
  let eventsShown = 0;

  const draw = () => {
    if (terminal.interactive) {
      const { columns, rows } = terminal;
      terminal.repaint(
        tableLines(tally, title, rows - 1).map(({ text, style }) => {
          const cut = text.slice(0, columns - 1);
          return style === undefined ? cut : terminal.style(style, cut);
        }),
      );
      return;
    }
    showEvents();
    terminal.line(statusLine(tally));
  };
  const showEvents = () => {
    for (const event of tally.events.slice(eventsShown)) terminal.line(eventLine(event));
    eventsShown = tally.events.length;
  };
  const everyMs = terminal.interactive ? repaintEveryMs : statusEveryMs;
  const tick = () => {
    draw();
    cancel = clock.schedule(everyMs, tick);
  };
  if (!terminal.interactive) terminal.line(title);
  tick();

  return {
    note(text) {
      if (!terminal.interactive) showEvents();
      terminal.line(oneLine(text));
    },
    finish() {
      if (finished) return;
      finished = true;
      cancel();
      draw();
      terminal.settle();
    },
  };
}

/** The result in words: totals, then each server that answered. */
export function summaryLines(tally: DemoTally): readonly string[] {
  const answered = tally.servers.filter(({ calls }) => calls > 0);
  const width = Math.max(0, ...answered.map(({ address }) => address.length));
  return [
    `${seconds(tally.elapsedMs)}: ${tally.calls} calls, ${tally.failures} failed, ${answered.length} ${answered.length === 1 ? "server" : "servers"} answered`,
    ...answered.map(({ address, calls }) => `  ${address.padEnd(width)}  ${calls}  ${share(calls, tally.calls)}`),
  ];
}

function statusLine(tally: DemoTally): string {
  const servers = tally.servers.filter(({ listed }) => listed).map(({ address, calls }) => `  ${address} ${calls}`);
  return `${seconds(tally.elapsedMs).padStart(8)}  calls ${tally.calls}  failures ${tally.failures}${servers.join("")}`;
}

function eventLine({ atMs, kind, address }: ServerEvent): string {
  return `${seconds(atMs).padStart(8)}  ${kind === "came" ? "+" : "-"} ${address} ${kind}`;
}

/** The table, at most `maxLines` high: of many servers and events the latest are shown. */
function tableLines(tally: DemoTally, title: string, maxLines: number): readonly StyledLine[] {
  const { calls, failures, elapsedMs } = tally;
  const rate = elapsedMs > 0 ? Math.round((calls / elapsedMs) * 1000) : 0;
  const head: StyledLine[] = [
    { text: title, style: "bold" },
    { text: `${seconds(elapsedMs)}   ${calls} calls   ${rate} a second` },
    failures === 0 ? { text: "no failures", style: "green" } : { text: `${failures} failures`, style: "red" },
    { text: "" },
  ];
  const room = Math.max(2, maxLines - head.length - 3);
  // Serving first, then the latest of those that went: they matter most where not all fit.
  const servers = [
    ...tally.servers.filter(({ listed }) => listed),
    ...tally.servers.filter(({ listed }) => !listed).reverse(),
  ];
  const shown = servers.slice(0, Math.ceil(room / 2));
  const width = Math.max(6, ...shown.map(({ address }) => address.length));
  const rows = shown.map(({ address, calls: ours, listed }): StyledLine => {
    const bar = "█".repeat(calls === 0 ? 0 : Math.round((ours / calls) * 20));
    const row = `${address.padEnd(width)}  ${listed ? "serving" : "gone   "}  ${String(ours).padStart(8)}  ${share(ours, calls).padStart(7)}  ${bar}`;
    return listed ? { text: row } : { text: row, style: "dim" };
  });
  const events = tally.events
    .slice(-Math.max(1, room - rows.length))
    .map((event): StyledLine => ({ text: eventLine(event) }));
  return [
    ...head,
    { text: `${"server".padEnd(width)}  state    ${"calls".padStart(8)}  ${"share".padStart(7)}`, style: "dim" },
    ...rows,
    { text: "" },
    { text: "came and went", style: "dim" },
    ...events,
  ];
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function share(part: number, whole: number): string {
  return `${(whole === 0 ? 0 : (part / whole) * 100).toFixed(1)} %`;
}
