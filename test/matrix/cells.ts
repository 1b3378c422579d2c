// What works where: README's table as data. A cell that says yes is proved by a test of matrix.test.ts; one that says no has its
// reason. Runs nothing.

/** The columns, in their order, and how they are headed. */
export const matrixRuntimes = {
  bun: "Bun",
  deno: "Deno",
  node: "Node",
  workerd: "Workers (workerd)",
  chromium: "Browsers (Chromium)",
} as const;

/** Where a program runs. */
export type MatrixRuntime = keyof typeof matrixRuntimes;

/** Footnotes, in their order: why something does not work, or what it needs. */
export const matrixNotes = {
  noPort: "`serve` opens a port. A Worker and a page have none that others could connect to.",
  overTcp:
    "Through [`lictor/edge/tcp`](docs/edge-tcp.md), on Workers' own sockets: every kind of stream, in cleartext, as they cannot agree on HTTP/2 over TLS.",
  noTrailers:
    "gRPC ends its answers with trailers, which `fetch` does not hand over. The same servers take gRPC-Web and Connect.",
  noDuplex: "Unary calls and server streams: `fetch` does not send while it receives.",
  consulCors: "The agent, or a gateway before it, must send CORS headers for the page's origin.",
} as const;

/** Name of a footnote. */
export type MatrixNote = keyof typeof matrixNotes;

/** One cell. Where it does not work, the note is why. */
export type MatrixCell =
  | { readonly works: true; readonly note?: MatrixNote }
  | { readonly works: false; readonly note: MatrixNote };

/** What a row is about. */
export type MatrixTask =
  | "serve gRPC"
  | "serve gRPC-Web"
  | "serve Connect"
  | "serve JSON"
  | "register"
  | "call gRPC"
  | "call gRPC-Web"
  | "call Connect"
  | "find";

/** One row: what a program does, by which protocol, and where it can. */
export interface MatrixRow {
  /** Unique among the rows. */
  readonly task: MatrixTask;
  /** In Markdown. */
  readonly title: string;
  /** Of all its cells. */
  readonly note?: MatrixNote;
  readonly cells: Readonly<Record<MatrixRuntime, MatrixCell>>;
}

const yes: MatrixCell = { works: true };
const noPort: MatrixCell = { works: false, note: "noPort" };
const overTcp: MatrixCell = { works: true, note: "overTcp" };
const noTrailers: MatrixCell = { works: false, note: "noTrailers" };
const onServers: MatrixRow["cells"] = { bun: yes, deno: yes, node: yes, workerd: noPort, chromium: noPort };
const everywhere: MatrixRow["cells"] = { bun: yes, deno: yes, node: yes, workerd: yes, chromium: yes };

/** The rows, in their order. */
export const matrixRows: readonly MatrixRow[] = [
  { task: "serve gRPC", title: "Serve gRPC (HTTP/2)", cells: onServers },
  { task: "serve gRPC-Web", title: "Serve gRPC-Web (HTTP/2, HTTP/1.1)", cells: onServers },
  { task: "serve Connect", title: "Serve Connect (HTTP/2, HTTP/1.1)", cells: onServers },
  { task: "serve JSON", title: "Serve JSON to curl (HTTP/1.1)", cells: onServers },
  { task: "register", title: "Register in Consul", cells: onServers },
  {
    task: "call gRPC",
    title: "Call by gRPC: `lictor`",
    cells: { ...everywhere, workerd: overTcp, chromium: noTrailers },
  },
  { task: "call gRPC-Web", title: "Call by gRPC-Web: `lictor/edge`", note: "noDuplex", cells: everywhere },
  { task: "call Connect", title: "Call by Connect: `lictor/edge`", note: "noDuplex", cells: everywhere },
  {
    task: "find",
    title: "Find servers in Consul",
    cells: { ...everywhere, chromium: { works: true, note: "consulCors" } },
  },
];

/** Name of a cell, and of the test that proves it. */
export function cellName(task: MatrixTask, runtime: MatrixRuntime): string {
  return `${task} on ${runtime}`;
}
