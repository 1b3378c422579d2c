// What a scenario is. Types only.

import type { Terms } from "./judge.ts";
import type { Stage } from "./stage.ts";

/** A setup, a fault, and what may fail. */
export interface Scenario {
  readonly name: string;
  /** Whether `--quick` plays it. */
  readonly isQuick: boolean;
  /** The fault, and what must hold, in a sentence: for the table. */
  readonly must: string;
  /** Starts everything, makes the fault under load, ends the load; resolves with the terms on which its ledgers are judged. */
  play(stage: Stage): Promise<Terms>;
}
