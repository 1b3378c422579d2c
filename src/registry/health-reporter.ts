// Asks the user's health function before a heartbeat and turns whatever it does into a report. Never throws, never asks twice at once.

import type { Clock } from "../core/clock.ts";
import type { HealthReport } from "./register-options.ts";

/** Gives the report of the next heartbeat. */
export type HealthReporter = () => Promise<HealthReport>;

/**
 * Wraps a health function; without one every report is a pass. A throw, a rejection, something that is no report or no
 * answer within `limitMs` is a fail with the reason as its note.
 */
export function createHealthReporter(
  health: (() => HealthReport | Promise<HealthReport>) | undefined,
  limitMs: number,
  clock: Clock,
): HealthReporter {
  if (health === undefined) return () => Promise.resolve({ status: "pass" });
  // One call at a time: a hanging health function must not be piled upon with every heartbeat.
  let asked: { readonly sinceMs: number; readonly answer: Promise<HealthReport> } | undefined;
  return async () => {
    if (asked === undefined) {
      const answer = ask(health).finally(() => {
        asked = undefined;
      });
      asked = { sinceMs: clock.now(), answer };
    }
    const { sinceMs, answer } = asked;
    return withinLimit(answer, limitMs, sinceMs, clock);
  };
}

async function ask(health: () => HealthReport | Promise<HealthReport>): Promise<HealthReport> {
  try {
    const report = await health();
    switch (report?.status) {
      case "pass":
      case "warn":
      case "fail":
        return report;
      default:
        return { status: "fail", note: `health function returned no report: ${String(report)}` };
    }
  } catch (error) {
    return {
      status: "fail",
      note: `health function failed: ${error instanceof Error ? error.message : String(error)}`,
    };
  }
}

function withinLimit(
  answer: Promise<HealthReport>,
  limitMs: number,
  sinceMs: number,
  clock: Clock,
): Promise<HealthReport> {
  return new Promise((resolve) => {
    const cancel = clock.schedule(Math.max(limitMs - (clock.now() - sinceMs), 0), () => {
      const waitedMs = Math.round(clock.now() - sinceMs);
      resolve({ status: "fail", note: `health function has not answered for ${waitedMs} ms` });
    });
    void answer.then((report) => {
      cancel();
      resolve(report);
    });
  });
}
