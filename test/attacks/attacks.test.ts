// The attacks of test/support/h2-attacks.ts over real sockets, on a server in a process of its own, with a caller beside them who has done
// nothing: the attacker is closed within a second, memory stays, and the caller hardly notices.

import assert from "node:assert/strict";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ErrorCode } from "../../src/http2/error-code.ts";
import { echoPaths, type H2Attack, h2Attacks } from "../support/h2-attacks.ts";
import { frame, request, settingsPayload, uint32 } from "../support/h2-wire.ts";
import { type RuntimeName, runtimeNames } from "../tools/runtimes.ts";
import { runAttack } from "./attacker.ts";
import { startTarget, type Target } from "./target.ts";

const mebibyte = 1024 * 1024;
const maxGrowthBytes = 64 * mebibyte;
/** Half a dozen runs at rest differ by so much, on a machine that does other things too. */
const slackMs = 5;
const phaseMs = 1000;

/** Attacks of one connection that asks for much and takes none of it. */
function hoards({ large, more }: Target["paths"]): readonly { attack: H2Attack; reads: boolean }[] {
  const asking = (name: string, windowBytes: number): H2Attack => ({
    name,
    before: [
      frame(4, 0, 0, settingsPayload([4, windowBytes])),
      ...(windowBytes > 0 ? [frame(8, 0, 0, uint32(0x7fff0000))] : []),
      ...Array.from({ length: 300 }, (_, index) => request(2 * index + 1, large, true, more)),
    ],
    // One more now and then, as what waits gets less while the system's own buffers fill.
    step: (index) => [request(2 * index + 601, large, true, more)],
    most: 0,
    text: /takes nothing/,
  });
  return [
    { attack: asking("requests of large answers behind windows that stay shut", 0), reads: true },
    { attack: asking("requests of large answers that are never read (CVE-2019-9517)", 0x7fffffff), reads: false },
  ];
}

/** Seven ways to be made to reset are one over sockets. */
const isLeftOut = (name: string) => name.includes("CVE-2025-8671") && !name.includes("WINDOW_UPDATE by 0");

const wanted = (process.env.ATTACK_RUNTIMES ?? runtimeNames.join()).split(",");

for (const runtime of runtimeNames.filter((name) => wanted.includes(name))) attackOn(runtime);

function attackOn(runtime: RuntimeName): void {
  describe(`A server on ${runtime}`, { skip: process.platform === "linux" ? false : "needs /proc" }, () => {
    let target: Target | undefined;
    before(async () => {
      target = await startTarget(runtime);
      // The first calls are slow, and the heap finds its size.
      await target.measure(phaseMs);
    });
    after(() => target?.[Symbol.asyncDispose]());

    const each = (name: string, pick: (target: Target) => { attack: H2Attack; reads: boolean } | undefined) =>
      test(`closes ${name} and goes on`, async (context) => {
        assert.ok(target !== undefined);
        const found = pick(target);
        assert.ok(found !== undefined);
        // What else the machine does shows in the caller's p99: it must hold once in three times, all else every time.
        for (let attempt = 1; ; attempt++) {
          const { quietMs, besideMs } = await attackOnce(target, found.attack, found.reads, (told) =>
            context.diagnostic(told),
          );
          if (besideMs <= 2 * quietMs + slackMs) return;
          assert.ok(attempt < 3, `p99 ${besideMs} ms, ${quietMs} ms at rest`);
        }
      });

    for (const [index, { name }] of h2Attacks(echoPaths).entries()) {
      if (isLeftOut(name)) continue;
      each(name, ({ paths }) => {
        const attack = h2Attacks(paths)[index];
        return attack === undefined ? undefined : { attack, reads: true };
      });
    }
    for (const [index, { attack }] of hoards(echoPaths).entries())
      each(attack.name, ({ paths }) => hoards(paths)[index]);
  });
}

/** One attack, and the caller's p99 before and during it. */
async function attackOnce(
  target: Target,
  attack: H2Attack,
  reads: boolean,
  tell: (text: string) => void,
): Promise<{ quietMs: number; besideMs: number }> {
  const quiet = await target.measure(phaseMs);
  const rssBefore = target.rss();
  let rssMost = rssBefore;
  let isOver = false;
  const watching = (async () => {
    for (; !isOver; await sleep(10)) rssMost = Math.max(rssMost, target.rss());
  })();
  const measuring = target.measure(phaseMs);
  const end = await runAttack(target.port, attack, 3000, reads);
  const beside = await measuring;
  isOver = true;
  await watching;
  const grown = rssMost - rssBefore;
  tell(
    `closed after ${end.endedMs.toFixed(0)} ms: ${end.code} ${end.text}; +${(grown / mebibyte).toFixed(1)} MiB; ` +
      `p99 ${beside.p99Ms.toFixed(2)} ms, ${quiet.p99Ms.toFixed(2)} ms at rest`,
  );
  assert.ok(end.endedMs <= 1000, `closed after ${end.endedMs} ms`);
  if (reads) assert.equal(end.code, ErrorCode.enhanceYourCalm);
  assert.ok(grown <= maxGrowthBytes, `grew by ${grown} bytes`);
  assert.equal(beside.failed, 0);
  assert.ok(beside.calls > 0);
  return { quietMs: quiet.p99Ms, besideMs: beside.p99Ms };
}
