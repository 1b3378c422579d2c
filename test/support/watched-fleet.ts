// Endpoints as an outlier detection sees them, without connections: their counts and PINGs are the test's.

import { Code, ConnectError } from "@connectrpc/connect";
import { markAnswered } from "../../src/core/call-fate.ts";
import type { Endpoint } from "../../src/core/endpoint.ts";
import { createManualClock, type ManualClock } from "../../src/testing/manual-clock.ts";
import { OutlierDetection } from "../../src/transport/outlier/outlier-detection.ts";
import { type OutlierDetectionOptions, resolveOutlierDetection } from "../../src/transport/outlier/outlier-options.ts";
import type { Watched } from "../../src/transport/outlier/track.ts";
import { endpoint } from "./endpoints.ts";
import { createRecordingLogger, type RecordingLogger } from "./recording-logger.ts";

/** One endpoint. */
export class FakeWatched implements Watched {
  readonly endpoint: Endpoint;
  readonly counts = { ok: 0, active: 0, unaryActive: 0, unaryEnded: 0 };
  state = "ready";
  pings = 0;
  renewals = 0;
  /** Whether PINGs are answered, at once. */
  answersPings = true;
  readonly #unanswered: (() => void)[] = [];

  constructor(id: string, meta: Readonly<Record<string, string>>) {
    this.endpoint = endpoint(id, { meta });
  }

  ping(onAnswer: () => void): boolean {
    this.pings++;
    if (this.answersPings) queueMicrotask(onAnswer);
    else this.#unanswered.push(onAnswer);
    return true;
  }

  renew(): void {
    this.renewals++;
  }

  /** Answers what it was sent. */
  revive(): void {
    this.answersPings = true;
    for (const answer of this.#unanswered.splice(0)) answer();
  }

  succeed(calls = 1): void {
    this.counts.ok += calls;
    this.counts.unaryEnded += calls;
  }
}

/** A fleet and who watches it. */
export interface WatchedFleet {
  readonly clock: ManualClock;
  readonly logger: RecordingLogger;
  readonly detection: OutlierDetection;
  readonly all: readonly FakeWatched[];
  of(id: string): FakeWatched;
  /** Ids of those that are left out. */
  ejected(): readonly string[];
  /** Calls fail there, as answered by the server unless it is said otherwise. */
  fail(id: string, times?: number, code?: Code, isAnswered?: boolean): void;
  /** Ids of those that came back, in order. */
  readonly returned: readonly string[];
  /** How often nobody was looking any more. */
  readonly sleeps: number;
}

export function createWatchedFleet(
  ids: readonly string[],
  options: OutlierDetectionOptions = {},
  random: () => number = () => 0.5,
  meta: Readonly<Record<string, string>> = {},
): WatchedFleet {
  const clock = createManualClock();
  const logger = createRecordingLogger();
  const returned: string[] = [];
  let sleeps = 0;
  const detection = new OutlierDetection(resolveOutlierDetection(options), {
    clock,
    random,
    logger,
    onChange() {},
    onReturn: ({ endpoint: { id } }) => returned.push(id),
    onSleep: () => sleeps++,
  });
  const all = ids.map((id) => new FakeWatched(id, meta));
  for (const watched of all) {
    detection.add(watched);
    detection.onState(watched);
  }
  const of = (id: string) => {
    const found = all.find((watched) => watched.endpoint.id === id);
    if (found === undefined) throw new Error(`no endpoint ${id}`);
    return found;
  };
  return {
    clock,
    logger,
    detection,
    all,
    of,
    ejected: () => all.filter((watched) => detection.isEjected(watched)).map((watched) => watched.endpoint.id),
    fail(id, times = 1, code = Code.Unavailable, isAnswered = true) {
      for (let i = 0; i < times; i++) {
        const error = new ConnectError("failed", code);
        if (isAnswered) markAnswered(error);
        of(id).counts.unaryEnded++;
        detection.onCallFailed(of(id), error, isAnswered ? "answered" : "maybe-processed");
      }
    },
    returned,
    get sleeps() {
      return sleeps;
    },
  };
}
