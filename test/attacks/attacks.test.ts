// The attacks of test/support/h2-attacks.ts over real sockets, on a server in a process of its own, with a caller beside them who has done
// nothing: the attacker is closed within a second, memory stays, and the caller hardly notices.

import assert from "node:assert/strict";
import { once } from "node:events";
import * as net from "node:net";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ErrorCode } from "../../src/http2/error-code.ts";
import { type AttackPaths, type H2Attack, h2Attacks } from "../support/h2-attacks.ts";
import { frame, request, settingsPayload, uint32 } from "../support/h2-wire.ts";
import { type RuntimeName, runtimeNames } from "../tools/runtimes.ts";
import { runAttack } from "./attacker.ts";
import { type GrpcAttack, grpcAttacks, startGrpcAttack } from "./grpc-attacks.ts";
import { type SlowAttacker, startSlowAttackers } from "./slow-attackers.ts";
import { maxConnectionsPerPeer, startTarget, type Target, wantedKind } from "./target.ts";

const mebibyte = 1024 * 1024;
const maxGrowthBytes = 64 * mebibyte;
const phaseMs = 1000;
/** The p99 of two servers at rest differs by so much, on a machine that does other things too. */
const slackMs = 5;
/** What else the machine does shows in times: they must hold once in so many attempts, all else in every one. */
const maxAttempts = 5;

/** Attacks of one connection that asks for much and takes none of it. */
function hoards({ large, more }: AttackPaths): readonly Attack[] {
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
    { ...asking("requests of large answers behind windows that stay shut", 0), reads: true },
    { ...asking("requests of large answers that are never read (CVE-2019-9517)", 0x7fffffff), reads: false },
  ];
}

/** `reads` false: it takes none of the answers. */
type Attack = H2Attack & { readonly reads: boolean };

/** Seven ways to be made to reset are one over sockets. */
const isLeftOut = (name: string) => name.includes("CVE-2025-8671") && !name.includes("WINDOW_UPDATE by 0");

const kind = wantedKind();
const attacks: readonly Attack[] = [
  ...h2Attacks(kind.paths)
    .filter(({ name }) => !isLeftOut(name))
    .map((attack) => ({ ...attack, reads: true })),
  ...hoards(kind.paths),
];
const wanted = (process.env.ATTACK_RUNTIMES ?? runtimeNames.join()).split(",");

for (const runtime of runtimeNames.filter((name) => wanted.includes(name))) attackOn(runtime);

function attackOn(runtime: RuntimeName): void {
  describe(`A server on ${runtime}`, { skip: process.platform === "linux" ? false : "needs /proc" }, () => {
    let target: Target;
    let slow: readonly SlowAttacker[] = [];
    before(async () => {
      target = await startTarget(kind, runtime);
      slow = startSlowAttackers(kind, target.port);
      // The first calls are slow, and the heap finds its size.
      await target.measure(phaseMs);
    });
    after(async () => {
      for (const attacker of slow) attacker.stop();
      await target?.[Symbol.asyncDispose]();
    });

    for (const attack of attacks) {
      test(`closes ${attack.name} and goes on`, async (context) => {
        for (let attempt = 1; ; attempt++) {
          const { endedMs, attackedMs, sparedMs, told } = await attackOnce(target, attack);
          context.diagnostic(told);
          if (endedMs <= 1000 && attackedMs <= 2 * sparedMs + slackMs) return;
          assert.ok(attempt < maxAttempts, told);
        }
      });
    }

    test("bears one who comes back whenever it is closed", async (context) => {
      const attack = attacks.find(({ name }) => name.includes("CVE-2023-44487"));
      assert.ok(attack !== undefined);
      const comeBack = async (): Promise<number> => {
        let closed = 0;
        for (const untilMs = performance.now() + phaseMs; performance.now() < untilMs; closed++) {
          const { code } = await runAttack(target.port, attack, 3000);
          assert.equal(code, ErrorCode.enhanceYourCalm);
        }
        return closed;
      };
      let mostBefore = 0;
      for (let attempt = 1; ; attempt++) {
        const { result, told, grownBytes, mostBytes } = await beside(target, comeBack);
        context.diagnostic(`closed ${result} times; ${told}`);
        assert.ok(result > 1);
        // Each connection is new: the heap may find its size here, too.
        if (grownBytes <= maxGrowthBytes || (attempt > 1 && mostBytes <= mostBefore + maxGrowthBytes)) return;
        mostBefore = Math.max(mostBefore, mostBytes);
        assert.ok(attempt < maxAttempts, told);
      }
    });

    for (const attack of kind.name === "serve" ? grpcAttacks() : []) {
      test(`bears ${attack.name}`, async (context) => {
        let mostBefore = 0;
        for (let attempt = 1; ; attempt++) {
          const { told, grownBytes, mostBytes, attackedMs, sparedMs } = await bearOnce(target, attack);
          context.diagnostic(`${told}; ${(mostBytes / mebibyte).toFixed(0)} MiB at most`);
          assert.ok(grownBytes <= maxGrowthBytes || attack.isWork, told);
          // For messages as large as nobody's before the heap finds its size first: no wave may need much more than those before it.
          const isFlat = attack.isWork
            ? attempt > 1 && mostBytes <= mostBefore + maxGrowthBytes
            : attackedMs <= 2 * sparedMs + slackMs;
          if (isFlat) return;
          mostBefore = Math.max(mostBefore, mostBytes);
          assert.ok(attempt < maxAttempts, told);
        }
      });
    }

    test("takes no more connections of one address than it is told", { skip: kind.name !== "serve" }, async () => {
      const sockets = Array.from({ length: maxConnectionsPerPeer * 2 }, () => net.connect(target.port, "127.0.0.1"));
      let closed = 0;
      const ends = sockets.map(async (socket) => {
        socket.on("error", () => {}).resume();
        await once(socket, "close");
        closed++;
      });
      const { attacked } = await target.measure(phaseMs);
      // The caller's connection counts, and those of the slow ones.
      const [least, most] = [maxConnectionsPerPeer + 1, maxConnectionsPerPeer + 1 + slow.length];
      assert.ok(closed >= least && closed <= most, `${closed} of ${sockets.length} closed`);
      assert.deepEqual(attacked.failures, []);
      for (const socket of sockets) socket.destroy();
      await Promise.all(ends);
    });

    test("closes whoever is slow", async (context) => {
      for (const { name, mostMs, expected, closed } of slow) {
        const { afterMs, code } = await closed;
        context.diagnostic(`who ${name}: after ${afterMs.toFixed(0)} ms, ${code}`);
        assert.ok(afterMs <= mostMs, `who ${name}: after ${afterMs} ms`);
        assert.equal(code, expected, `who ${name}`);
      }
      assert.deepEqual((await target.measure(100)).attacked.failures, []);
    });
  });
}

/** What was seen beside an attack. */
interface Seen {
  /** The caller's p99 at the server that is attacked, and at the other. */
  readonly attackedMs: number;
  readonly sparedMs: number;
  readonly grownBytes: number;
  /** The most memory that the server had. */
  readonly mostBytes: number;
  /** All of it, in words. */
  readonly told: string;
}

/** One attack that ends the connection. */
async function attackOnce(target: Target, attack: Attack): Promise<Seen & { readonly endedMs: number }> {
  const { result, ...seen } = await beside(target, () => runAttack(target.port, attack, 3000, attack.reads));
  const { endedMs, code, text } = result;
  assert.notEqual(endedMs, Number.POSITIVE_INFINITY, "it was not closed");
  if (attack.reads) assert.equal(code, ErrorCode.enhanceYourCalm);
  assert.ok(seen.grownBytes <= maxGrowthBytes, seen.told);
  return { ...seen, endedMs, told: `closed after ${endedMs.toFixed(0)} ms: ${code} ${text}; ${seen.told}` };
}

/** One attack whose calls fail. */
async function bearOnce(target: Target, attack: GrpcAttack): Promise<Seen> {
  const startedMs = performance.now();
  const { result, ...seen } = await beside(target, async () => {
    await using underWay = await startGrpcAttack(target.port, attack);
    return { tookMs: performance.now() - startedMs, statuses: Object.fromEntries(underWay.statuses) };
  });
  const { tookMs, statuses } = result;
  const { status, calls } = attack;
  assert.deepEqual(statuses, status === undefined ? {} : { [status]: calls });
  return { ...seen, told: `took ${tookMs.toFixed(0)} ms: ${JSON.stringify(statuses)}; ${seen.told}` };
}

/** Does something to the server while the caller calls, all of whose calls must be answered. */
async function beside<T>(target: Target, attack: () => Promise<T>): Promise<Seen & { readonly result: T }> {
  const rssBefore = target.rss();
  let rssMost = rssBefore;
  let isOver = false;
  const watching = (async () => {
    for (; !isOver; await sleep(10)) rssMost = Math.max(rssMost, target.rss());
  })();
  const measuring = target.measure(phaseMs);
  const result = await attack();
  const { attacked, spared } = await measuring;
  isOver = true;
  await watching;
  const grownBytes = rssMost - rssBefore;
  const told =
    `+${(grownBytes / mebibyte).toFixed(1)} MiB; p99 ${attacked.p99Ms.toFixed(2)} ms of ${attacked.calls} calls, ` +
    `${spared.p99Ms.toFixed(2)} ms elsewhere`;
  assert.deepEqual(attacked.failures, []);
  assert.ok(attacked.calls > 0);
  return { result, told, grownBytes, mostBytes: rssMost, attackedMs: attacked.p99Ms, sparedMs: spared.p99Ms };
}
