// The phases of the full run that both sides go through: unary calls, payloads, streams.

import type { Command } from "../programs/commands.ts";
import type { Side } from "./cores.ts";
import { alternate, type Sample } from "./measure.ts";
import type { PhaseName } from "./results.ts";
import type { Talent } from "./rows.ts";
import { oneLine, openSide, type Stage } from "./side.ts";

interface PhasePlan {
  readonly name: PhaseName;
  readonly talent: Talent;
  readonly command: Command;
}

const callLimitMs = 1000;
/** As long for all, however fast they are: what compilers do takes time, not calls. */
const warmUpMs = 2500;
const warmUpCalls = 1_000_000;

/** Big messages fewer at a time: what is in flight is bytes then. */
const plans: readonly PhasePlan[] = [
  ...([1, 64, 512] as const).map((inFlight) => plan(`unary-${inFlight}`, "unary", { do: "unary", inFlight })),
  ...([16, 1024, 65536, 1048576] as const).map((bytes) =>
    plan(`echo-${bytes}`, "payload", { do: "echo", bytes, inFlight: bytes > 65536 ? 4 : bytes > 1024 ? 16 : 64 }),
  ),
  ...(["download", "chat"] as const).map((name) =>
    plan(name, "streams", { do: name, inFlight: 3, messages: 2000, bytes: 16, calls: 1000 }),
  ),
];

function plan(name: PhaseName, talent: Talent, command: Command): PhasePlan {
  return { name, talent, command: { calls: 25_000, limitMs: callLimitMs, ...command } };
}

/** What the rows of one side have in common, and what they gave. */
export interface SideResult {
  readonly peer: string;
  readonly rows: Record<string, Partial<Record<PhaseName, Sample>>>;
}

/** Runs the phases of these talents over every row that has them. */
export async function runPhases(
  stage: Stage,
  side: Side,
  rounds: number,
  talents: readonly Talent[],
): Promise<SideResult> {
  await using open = await openSide(stage, side, stage.rows, 3);
  const rows: SideResult["rows"] = {};
  for (const { name, talent, command } of plans) {
    if (!talents.includes(talent)) continue;
    if (!open.talents.includes(talent)) {
      stage.lose(`${side} ${name}`, `${open.peer} makes no such calls: npm run bench:setup builds what does`);
      continue;
    }
    stage.note(`${side} rows: ${name}`);
    const talented = stage.rows.filter((row) => row.talents.includes(talent)).map((row) => row.name);
    const samples = await alternate(
      open.entrants.filter(({ row }) => talented.includes(row)),
      {
        rounds,
        warmUp: { ...command, calls: warmUpCalls, limitMs: warmUpMs },
        command,
        onLost: (row, reason) => stage.lose(`${side} ${row} ${name}`, oneLine(reason)),
      },
    );
    for (const [row, sample] of samples) rows[row] = { ...rows[row], [name]: sample };
  }
  return { peer: open.peer, rows };
}
