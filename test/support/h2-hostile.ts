// Bytes that nobody should send: frames of every kind at random, whole streams of them with bytes changed, and what a connection makes
// of them. Fails by assertion; the caller knows the seed.

import assert from "node:assert/strict";
import { Http2Connection } from "../../src/http2/connection.ts";
import type { StreamListener } from "../../src/http2/stream.ts";
import { joinBytes, requestFields } from "./h2-echo.ts";
import { FrameLog, frame, literals, preface, settingsPayload, uint32 } from "./h2-wire.ts";

type Role = "client" | "server";

/** Streams that a client under test has open. */
const openStreams = 8;

/** What a peer of `role` (the side under test) sends: mostly legal frames, `count` of them after its preface. */
export function randomFrames(random: () => number, role: Role, count: number): Uint8Array {
  const below = (end: number) => Math.floor(random() * end);
  const bytes = (length: number) => Uint8Array.from({ length }, () => below(256));
  const anyId = () => (random() < 0.03 ? below(40) : 1 + 2 * below(openStreams));
  let lastId = -1;
  const headerFields = () => {
    const first = role === "server" ? requestFields(`/${below(5)}`) : [":status", random() < 0.1 ? "100" : "200"];
    return [...first, ...(random() < 0.2 ? ["x-a", "b".repeat(below(200))] : [])];
  };
  const headers = (): Uint8Array[] => {
    const isNew = role === "server" && random() < 0.8;
    if (isNew) lastId += 2;
    const id = isNew ? lastId : anyId();
    const end = random() < 0.4 ? 1 : 0;
    const block = random() < 0.05 ? bytes(below(40)) : literals(isNew || random() < 0.5 ? headerFields() : ["a", "b"]);
    const padding = random() < 0.1 ? below(20) : -1;
    const priority = random() < 0.1 ? [...uint32(random() < 0.1 ? id : 0), 7] : [];
    if (random() < 0.15) {
      const at = below(block.length);
      return [frame(1, end, id, block.subarray(0, at)), frame(9, 4, id, block.subarray(at))];
    }
    const flags = 4 | end | (padding >= 0 ? 8 : 0) | (priority.length > 0 ? 32 : 0);
    const head = padding >= 0 ? [padding] : [];
    return [frame(1, flags, id, [...head, ...priority, ...block, ...new Uint8Array(Math.max(padding, 0))])];
  };
  const kinds: readonly (() => Uint8Array | Uint8Array[])[] = [
    headers,
    headers,
    headers,
    () => frame(0, random() < 0.2 ? 1 : 0, anyId(), bytes(below(60))),
    () => frame(0, random() < 0.2 ? 1 : 0, anyId(), bytes(below(60))),
    () => frame(0, 8, anyId(), [below(12), ...bytes(below(60))]),
    () => frame(2, 0, anyId(), bytes(random() < 0.9 ? 5 : below(9))),
    () => frame(3, 0, anyId(), random() < 0.95 ? uint32(below(15)) : bytes(below(9))),
    () =>
      frame(4, random() < 0.2 ? 1 : 0, 0, random() < 0.8 ? new Uint8Array(0) : settingsPayload([below(8), below(99)])),
    () => frame(6, below(2), random() < 0.98 ? 0 : 1, bytes(random() < 0.95 ? 8 : below(12))),
    () => frame(8, 0, random() < 0.5 ? 0 : anyId(), uint32(random() < 0.98 ? below(9999) : below(2 ** 32))),
    () => (random() < 0.1 ? frame(7, 0, 0, bytes(8 + below(20))) : frame(99, below(256), below(9), bytes(below(30)))),
    () => (random() < 0.03 ? frame(below(12), below(256), below(12), bytes(below(30))) : []),
  ];
  const parts = [role === "server" ? preface() : frame(4, 0, 0), frame(4, 1, 0)];
  for (let number = 0; number < count; number++) parts.push(...[kinds[below(kinds.length)]?.() ?? []].flat());
  return joinBytes(parts);
}

/** A copy with some of its bytes changed, left out, doubled or moved. */
export function mutate(random: () => number, original: Uint8Array): Uint8Array {
  const below = (end: number) => Math.floor(random() * end);
  let bytes: Uint8Array = original.slice();
  for (let count = 1 + below(4); count > 0; count--) {
    const at = below(bytes.length);
    const length = below(30);
    const [before, middle, after] = [
      bytes.subarray(0, at),
      bytes.subarray(at, at + length),
      bytes.subarray(at + length),
    ];
    switch (below(5)) {
      case 0:
        bytes[at] = below(256);
        break;
      case 1:
        bytes[at] = (bytes[at] ?? 0) ^ (1 << below(8));
        break;
      case 2:
        bytes = joinBytes([before, after]);
        break;
      case 3:
        bytes = joinBytes([before, middle, middle, after]);
        break;
      default:
        bytes = joinBytes([before, Uint8Array.from({ length }, () => below(256)), middle, after]);
    }
  }
  return bytes;
}

/** What a connection told of bytes, in words; pieces of data that follow each other are one. */
export interface Told {
  readonly events: readonly string[];
  /** Frames that it read. */
  readonly frames: number;
  /** The error that it ended with. */
  readonly error: readonly [code: number, reason: string] | undefined;
}

/**
 * Has a connection read `bytes`, in pieces as `cut` says, and asserts what must hold whatever they are: nothing is thrown, nothing is told
 * twice or after the end, and an error is said with a GOAWAY.
 */
export function hear(role: Role, bytes: Uint8Array, cut: () => number): Told {
  const events: string[] = [];
  const live = new Set<Recorder>();
  let error: readonly [number, string] | undefined;
  let isOver = false;
  const tell = (event: string) => {
    assert.equal(isOver, false, `told after the end: ${event}`);
    events.push(event);
  };
  const connection = new Http2Connection({
    role,
    now: () => 0,
    host: {
      onOutput() {},
      onSettings: () => tell("settings"),
      onGoaway: (last, code, text) => tell(`goaway ${last} ${code} ${text}`),
      onPing: () => tell("ping"),
      onIdle: () => tell("idle"),
      onSlot: () => tell("slot"),
      onError(code, reason) {
        assert.equal(error, undefined, "a second error");
        error = [code, reason];
      },
      onStream(stream, { fields }, end) {
        tell(`stream ${stream.id} ${fields.join()} ${end}`);
        return new Recorder(stream.id, end, tell, live);
      },
    },
  });
  connection.start();
  if (role === "client") {
    const prepared = connection.prepare(requestFields("/a"));
    for (let number = 0; number < openStreams; number++) {
      connection.open(new Recorder(2 * number + 1, false, tell, live), prepared, undefined, number % 2 === 0);
    }
  }
  const log = new FrameLog();
  const flush = () => connection.flush((chunk) => log.add(role === "client" ? chunk.slice(startOf(chunk)) : chunk));
  flush();
  for (let at = 0; at < bytes.length; ) {
    const piece = bytes.slice(at, at + cut());
    connection.receive(piece, piece.length);
    // The reader must not look at it again.
    piece.fill(0xaa);
    at += piece.length;
  }
  flush();
  assert.equal(connection.isOver, error !== undefined);
  if (error !== undefined) {
    assert.deepEqual(log.goaway, { code: error[0], text: error[1] });
    assert.equal(log.frames.at(-1)?.type, 7, "a frame after the last GOAWAY");
    assert.ok(error[0] > 0 && error[0] <= 13);
  }
  const frames = connection.framesRead;
  isOver = true;
  connection.abort(0);
  for (const recorder of live) assert.ok(recorder.hasEnd, "a stream was told no end");
  assert.equal(connection.streamCount, 0);
  return { events, frames, error };
}

/** Where the frames begin of what a client sends. */
function startOf(chunk: Uint8Array): number {
  return chunk[0] === 80 && chunk[1] === 82 ? 24 : 0;
}

class Recorder implements StreamListener {
  readonly #id: number;
  readonly #tell: (event: string) => void;
  readonly #live: Set<Recorder>;
  hasEnd: boolean;
  #isReset = false;
  #data = 0;
  #sum = 0;

  constructor(id: number, end: boolean, tell: (event: string) => void, live: Set<Recorder>) {
    this.#id = id;
    this.#tell = tell;
    this.#live = live;
    this.hasEnd = end;
    live.add(this);
  }

  onHeaders({ fields }: { readonly fields: readonly string[] }, end: boolean): void {
    this.#assertOpen();
    this.#tellData();
    this.#tell(`headers ${this.#id} ${fields.join()} ${end}`);
    this.hasEnd = end;
  }

  onData(bytes: Uint8Array, from: number, to: number, end: boolean): void {
    this.#assertOpen();
    this.#data += to - from;
    for (let at = from; at < to; at++) this.#sum = (this.#sum * 31 + (bytes[at] ?? 0)) | 0;
    this.hasEnd = end;
    if (end) this.#tellData();
  }

  onReset(code: number, unprocessed: boolean): void {
    assert.equal(this.#isReset, false, "reset twice");
    this.#isReset = true;
    this.#live.delete(this);
    // What abort() tells comes after the bytes.
    if (code === 0) return;
    this.#tellData();
    this.#tell(`reset ${this.#id} ${code} ${unprocessed}`);
  }

  onDrained(): void {}

  #assertOpen(): void {
    assert.equal(this.#isReset || this.hasEnd, false, "told after its end");
  }

  #tellData(): void {
    this.#tell(`data ${this.#id} ${this.#data} ${this.#sum} ${this.hasEnd}`);
    this.#data = 0;
    this.#sum = 0;
  }
}
