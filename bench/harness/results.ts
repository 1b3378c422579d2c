// What a full run finds out: the shape of bench/results/<runtime>.json. Types only.

import type { Side } from "./cores.ts";
import type { Sample } from "./measure.ts";

/** The phases of both sides, by name: unary by calls in flight, echo by bytes, streams. */
export type PhaseName = `unary-${1 | 64 | 512}` | `echo-${16 | 1024 | 65536 | 1048576}` | "download" | "chat";

/** Rows by name; a row that was not measured is not there. */
export type ByRow<T> = Readonly<Record<string, T>>;

/** What one more of something takes, in bytes. null where the language has no such figure. */
export interface Footprint {
  readonly heapBytes: number | null;
  readonly rssBytes: number | null;
}

/** Many streams open at once. */
export interface OpenStreams extends Footprint {
  readonly streams: number;
  readonly connections: number;
  /** From the first to open until each has exchanged a message, in milliseconds. */
  readonly wallMs: number;
}

/** A target, and what became of it. */
export interface TargetResult {
  readonly figure: string;
  readonly side: Side;
  /** Whether it must be met, or is where lictor wants to be. */
  readonly kind: "must" | "aim";
  /** The bound, and of what: "<= 0.1x grpc-js". */
  readonly bound: string;
  /** null where one of its figures could not be taken. */
  readonly measured: number | null;
  readonly isMet: boolean | null;
}

/** A full run on one runtime. */
export interface Results {
  readonly runtime: string;
  readonly runtimeVersion: string;
  /** Runs the rows in TypeScript that are not lictor's, but for those that are named after Node. */
  readonly peersRuntime: string;
  /** Day of the run, ISO 8601. */
  readonly date: string;
  readonly machine: Machine;
  /** Versions of what was measured, by name. */
  readonly versions: ByRow<string>;
  /** Rounds that the medians are of. */
  readonly rounds: number;
  /** What is on the other side of the rows. */
  readonly peers: Readonly<Record<Side, string>>;
  readonly sides: Readonly<Record<Side, ByRow<Partial<Record<PhaseName, Sample>>>>>;
  /** lictor's client at 64 in flight: bare, plain, dressed, counter. */
  readonly variants: ByRow<Sample>;
  /** Client CPU microseconds per call at 1 in flight, by row and count of endpoints. */
  readonly endpoints: ByRow<Readonly<Record<string, number>>>;
  readonly idleConnections: Readonly<Record<Side, ByRow<Footprint>>>;
  readonly openStreams: Readonly<Record<Side, ByRow<OpenStreams>>>;
  readonly targets: readonly TargetResult[];
  /** Figures that could not be taken, and why. */
  readonly missing: readonly { readonly what: string; readonly reason: string }[];
}

/** Where it ran. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly system: string;
  /** Whether each side had a core of its own. */
  readonly isPinned: boolean;
}
