// One of three servers is killed and started anew on another port, again and again.

import type { JudgedCall } from "../judge.ts";
import type { Scenario } from "../scenario.ts";
import type { StageServer } from "../stage.ts";
import { rotated, underLoad } from "./load.ts";

/** What clocks of two processes, and a signal on its way, may differ by. */
const slackMs = 300;
/** What a busy client may take to notice that a connection is lost. */
const maxLateMs = 5000;
/**
 * Calls of a client that one kill takes along, on average: it makes 15 a second there that may run once, of a few milliseconds each, and may be
 * late to notice.
 */
const maxCut = 4;

export const sigkill: Scenario = {
  name: "sigkill",
  isQuick: true,
  must: "idempotent calls 0 failed; others: only those in flight there, marked maybe-processed; 0 run twice",
  async play(stage) {
    const consul = await stage.consul();
    const service = "chaos-kill";
    const start = (index: number, round: number): Promise<StageServer> =>
      stage.server({ consul: consul.address, service, name: `server${index}.${round}` });
    const servers = await Promise.all([0, 1, 2].map((index) => start(index, 0)));
    const clients = await Promise.all(
      (stage.isQuick ? rotated(stage.settings.runtimes, 1, 2) : stage.settings.runtimes).map((runtime) =>
        stage.client({ consul: consul.address, service, runtime, args: { rate: 70, delay: 10 } }),
      ),
    );
    const kills: Kill[] = [];
    await underLoad(stage, clients, async () => {
      for (let round = 1; round <= (stage.isQuick ? 4 : 20 * stage.settings.pace); round++) {
        const index = round % 3;
        const victim = servers[index];
        if (victim === undefined) continue;
        const fromMs = Date.now();
        await victim.kill();
        kills.push({ fromMs, toMs: Date.now(), ledgerName: victim.ledgerName });
        await stage.pause(1000);
        servers[index] = await start(index, round);
        await stage.pause(500);
      }
    });
    return {
      leastCalls: 800,
      check: (calls) => tooManyCut(kills, clients.length, calls),
      allow: (call) => (inFlightAt(kills, call) ? "in flight at a killed server, not idempotent" : undefined),
    };
  },
};

/** From the signal to the end of the process, which takes a while on a busy machine: its sockets are open until then. */
export interface Kill {
  readonly fromMs: number;
  readonly toMs: number;
  /** Whose runs are its own. */
  readonly ledgerName: string;
}

/** Whether a call that may run once was at a server when that was killed, as far as anybody can tell. */
export function inFlightAt(kills: readonly Kill[], { isRepeatable, sentMs, endMs, runs, done }: JudgedCall): boolean {
  if (isRepeatable || done?.fate !== "maybe-processed") return false;
  return kills.some(
    ({ fromMs, toMs, ledgerName }) =>
      sentMs <= toMs + slackMs &&
      endMs >= fromMs - slackMs &&
      endMs <= toMs + maxLateMs &&
      // One that has not run was on its way there.
      runs.every(({ server }) => server === ledgerName),
  );
}

/** More were cut than can have been under way at the servers that were killed: some were lost elsewhere, or for another reason. */
export function tooManyCut(kills: readonly Kill[], clients: number, calls: readonly JudgedCall[]): string[] {
  const cut = calls.filter((call) => call.done?.outcome !== "ok" && inFlightAt(kills, call)).length;
  const most = maxCut * clients * kills.length;
  return cut > most ? [`${cut} calls were cut by ${kills.length} kills, of ${clients} clients: ${most} at most`] : [];
}
