// What is said between the harness and its programs, a line of JSON each. Types only.

/** A line on a program's stdin. */
export interface Command {
  readonly do: "unary" | "echo" | "download" | "chat" | "hold" | "release" | "connect" | "usage";
  /** Calls at a time. */
  readonly inFlight?: number;
  /** Calls in all. */
  readonly calls?: number;
  /** No call begins later than this many milliseconds after the first. */
  readonly limitMs?: number;
  /** Size of each payload. */
  readonly bytes?: number;
  /** Messages of each streaming call. */
  readonly messages?: number;
  /** Streams to hold open, for `hold`. */
  readonly streams?: number;
  /** `host:port` each, for `connect`. */
  readonly targets?: readonly string[];
  /** Whether `usage` collects garbage first. */
  readonly gc?: boolean;
}

/** What came of calls. Times are milliseconds; CPU is user + system of the process that answers. */
export interface Phase {
  readonly calls: number;
  readonly failures: number;
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly p50: number;
  readonly p99: number;
  /** The first failure. */
  readonly error?: string;
}

/** What the process has used so far, and holds now. */
export interface Usage {
  readonly cpuMs: number;
  /** null where the language has no such figure. */
  readonly heapBytes: number | null;
  readonly rssBytes: number | null;
}

/** A line on a program's stdout, after the first. */
export type Answer =
  | Phase
  | Usage
  | { readonly released: true }
  | { readonly connected: true }
  | { readonly error: string };

/** The first line on a program's stdout. */
export interface Ready {
  readonly ready: true;
  /** Empty for clients. */
  readonly ports: readonly number[];
}
