// Attackers who take their time: each holds a connection as long as it can, at next to no cost. They run beside the others.

import { once } from "node:events";
import * as net from "node:net";
import { ErrorCode } from "../../src/http2/error-code.ts";
import { FrameLog, frame, literals, preface, request } from "../support/h2-wire.ts";
import { keepalive, type TargetKind } from "./target.ts";

export interface SlowAttacker {
  /** What it does, after "who". */
  readonly name: string;
  /** Time within which it must be closed, and the code of the GOAWAY that it must hear; undefined for none. */
  readonly mostMs: number;
  readonly expected: number | undefined;
  /** Resolves when the socket is closed, by itself a while after `mostMs`. */
  readonly closed: Promise<{ readonly afterMs: number; readonly code: number | undefined }>;
  stop(): void;
}

/** For a machine that is busy. */
const slackMs = 4000;
/** The engine's timeouts are 10 s, noticed a quarter later at most. */
const timeoutMs = 10_000 * 1.25 + slackMs;
/** So that no frame is whole within that time. */
const stepMs = 600;

/** Begins all that there are for a server. */
export function startSlowAttackers({ name, paths }: TargetKind, port: number): readonly SlowAttacker[] {
  const hello = [preface(), frame(4, 1, 0)];
  const block = literals([":method", "POST", ":scheme", "http", ":path", paths.hang, ":authority", "test", "a", "b"]);
  const headers = frame(1, 5, 1, block);
  const byBytes = (bytes: Uint8Array) => (index: number) => bytes.subarray(index, index + 1);
  const attackers = [
    begin(port, {
      name: "sends its headers byte by byte",
      // The frame begins when its head is whole.
      first: [...hello, headers.subarray(0, 9)],
      next: byBytes(headers.subarray(9)),
      expected: ErrorCode.enhanceYourCalm,
    }),
    begin(port, {
      name: "sends CONTINUATION frames one by one",
      first: [...hello, frame(1, 1, 1, block)],
      next: () => frame(9, 0, 1),
      expected: ErrorCode.enhanceYourCalm,
    }),
    begin(port, {
      name: "begins a frame of data and does not end it",
      first: [
        ...hello,
        request(1, paths.upload, false, paths.more),
        frame(0, 0, 1, new Uint8Array(100)).subarray(0, 50),
      ],
      expected: ErrorCode.enhanceYourCalm,
    }),
    begin(port, { name: "acknowledges no SETTINGS", first: [preface()], expected: ErrorCode.settingsTimeout }),
  ];
  if (name !== "serve") return attackers;
  return [
    ...attackers,
    begin(port, { name: "says nothing", expected: undefined }),
    begin(port, {
      name: "sends its preface byte by byte",
      next: byBytes(preface()),
      expected: ErrorCode.settingsTimeout,
    }),
    // Half open: its machine takes what comes, and nobody answers.
    begin(port, {
      name: "answers no PING",
      first: [...hello, request(1, paths.hang, true, paths.more)],
      expected: ErrorCode.noError,
      mostMs: keepalive.timeMs * 1.25 + keepalive.timeoutMs + slackMs,
    }),
  ];
}

interface SlowAttack {
  readonly name: string;
  /** Sent at once. */
  readonly first?: readonly Uint8Array[];
  /** What is sent one after another, until it is empty. */
  readonly next?: (index: number) => Uint8Array;
  readonly expected: number | undefined;
  readonly mostMs?: number;
}

const nothing = new Uint8Array(0);

function begin(port: number, attack: SlowAttack): SlowAttacker {
  const { name, first = [], next = () => nothing, expected, mostMs = timeoutMs } = attack;
  const startedMs = performance.now();
  const socket = net.connect(port, "127.0.0.1");
  const log = new FrameLog();
  socket.on("data", (bytes) => log.add(bytes)).on("error", () => {});
  for (const part of first) socket.write(part);
  let index = 0;
  const steps = setInterval(() => {
    const bytes = next(index++);
    if (bytes.length > 0 && socket.writable) socket.write(bytes);
  }, stepMs);
  const giveUp = setTimeout(() => socket.destroy(), mostMs + 1000);
  const closed = once(socket, "close").then(() => {
    clearInterval(steps);
    clearTimeout(giveUp);
    return { afterMs: performance.now() - startedMs, code: log.goaway?.code };
  });
  return { name, mostMs, expected, closed, stop: () => socket.destroy() };
}
