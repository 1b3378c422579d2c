// Random traffic that is legal, between a client's and a server's connection in memory, and the bookkeeping that every byte of it
// arrives once, in order, and that every stream ends once. Fails by assertion; the caller knows the seed.

import assert from "node:assert/strict";
import { type ConnectionLimits, Http2Connection } from "../../src/http2/connection.ts";
import type { HeaderBlock } from "../../src/http2/hpack/header-decoder.ts";
import type { PreparedFields, Stream, StreamListener } from "../../src/http2/stream.ts";

/** What a stream of one side carries at an offset. */
function byteAt(streamId: number, isClient: boolean, offset: number): number {
  return (streamId * 31 + (isClient ? 17 : 0) + offset * 7 + (offset >>> 8)) & 0xff;
}

/** One side of a stream. */
class Party implements StreamListener {
  readonly side: Side;
  stream: Stream | undefined;
  sentBytes = 0;
  receivedBytes = 0;
  heldBytes = 0;
  hasSentHeaders = false;
  hasSentEnd = false;
  hasEnd = false;
  /** Reset by either side. */
  isReset = false;
  #waits = false;

  constructor(side: Side) {
    this.side = side;
  }

  get isOver(): boolean {
    return this.isReset || this.stream?.closed === true;
  }

  onHeaders(_block: HeaderBlock, end: boolean): void {
    this.#assertOpen();
    if (end) this.hasEnd = true;
  }

  onData(bytes: Uint8Array, from: number, to: number, end: boolean): void {
    this.#assertOpen();
    const id = this.stream?.id ?? 0;
    for (let at = from; at < to; at++) {
      if (bytes[at] === byteAt(id, !this.side.isClient, this.receivedBytes++)) continue;
      assert.fail(`stream ${id}: a wrong byte at ${this.receivedBytes - 1}`);
    }
    this.heldBytes += to - from;
    if (end) this.hasEnd = true;
  }

  onReset(_code: number, _unprocessed: boolean): void {
    assert.equal(this.isReset, false, "a stream was reset twice");
    this.isReset = true;
  }

  onDrained(): void {
    assert.equal(this.#waits, true, "drained, and nothing waited");
    this.#waits = false;
  }

  #assertOpen(): void {
    assert.equal(this.isReset, false, "something came after a reset");
    assert.equal(this.hasEnd, false, "something came after the end");
  }

  /** Sends that many bytes, and what must go before them. */
  send(length: number, end: boolean): void {
    const { stream } = this;
    const { connection, isClient } = this.side;
    if (stream === undefined || this.isReset || this.hasSentEnd) return;
    this.sendHeaders();
    const body = new Uint8Array(length);
    for (let at = 0; at < length; at++) body[at] = byteAt(stream.id, isClient, this.sentBytes + at);
    // The first bytes as a head, as a message's prefix is sent.
    const head = length > 5 ? body.subarray(0, 5) : undefined;
    this.sentBytes += length;
    if (end) this.hasSentEnd = true;
    if (!connection.sendData(stream, head, head === undefined ? body : body.subarray(5), end)) this.#waits = true;
  }

  sendHeaders(): void {
    if (this.side.isClient || this.hasSentHeaders || this.stream === undefined) return;
    this.hasSentHeaders = true;
    this.side.connection.sendHeaders(this.stream, this.side.headers, undefined, false);
  }

  sendTrailers(): void {
    if (this.stream === undefined || this.isReset || this.hasSentEnd) return;
    this.sendHeaders();
    this.hasSentEnd = true;
    const extra = ["x-sent", String(this.sentBytes)];
    this.side.connection.sendHeaders(this.stream, this.side.trailers, extra, true);
  }

  consume(bytes: number): void {
    if (this.stream === undefined || this.isReset) return;
    this.heldBytes -= bytes;
    this.side.connection.consumed(this.stream, bytes);
  }

  reset(code: number): void {
    if (this.stream === undefined || this.stream.closed) return;
    this.isReset = true;
    this.side.connection.resetStream(this.stream, code);
  }
}

/** One end of the connection, and what is on its way from it. */
class Side {
  readonly isClient: boolean;
  readonly connection: Http2Connection;
  readonly parties: Map<number, Party> = new Map();
  readonly headers: PreparedFields;
  readonly trailers: PreparedFields;
  #wire: Uint8Array[] = [];
  #at = 0;

  constructor(isClient: boolean, limits: Partial<ConnectionLimits>, now: () => number) {
    this.isClient = isClient;
    this.connection = new Http2Connection({
      role: isClient ? "client" : "server",
      limits,
      now,
      host: {
        onOutput() {},
        onSettings() {},
        onGoaway() {},
        onIdle() {},
        onSlot() {},
        onError: (code, reason) => assert.fail(`the ${isClient ? "client" : "server"} failed: ${code} ${reason}`),
        onStream: (stream, _block, end) => {
          const party = new Party(this);
          party.stream = stream;
          party.hasEnd = end;
          this.parties.set(stream.id, party);
          return party;
        },
      },
    });
    this.headers = this.connection.prepare(
      isClient ? [":method", "POST", ":scheme", "http", ":path", "/a.B/C", ":authority", "test"] : [":status", "200"],
    );
    this.trailers = this.connection.prepare(["grpc-status", "0"]);
    this.connection.start();
  }

  /** Moves up to `most` bytes to the other side, in one piece; returns how many. */
  move(to: Side, most: number): number {
    if (this.#wire.length === 0) this.connection.flush((chunk) => this.#wire.push(chunk));
    const [chunk] = this.#wire;
    if (chunk === undefined) return 0;
    const piece = chunk.slice(this.#at, this.#at + most);
    this.#at += piece.length;
    if (this.#at === chunk.length) {
      this.#wire.shift();
      this.#at = 0;
    }
    to.connection.receive(piece, piece.length);
    return piece.length;
  }
}

/** One connection's traffic. */
export class Traffic {
  readonly #random: () => number;
  readonly #client: Side;
  readonly #server: Side;
  #nowMs = 0;

  constructor(random: () => number) {
    this.#random = random;
    const limits = (): Partial<ConnectionLimits> => ({
      maxConcurrentStreams: 1 + this.#below(200),
      initialWindowBytes: 65_535 + this.#below(3) * 100_000,
      connectionWindowBytes: 65_535 + this.#below(3) * 1_000_000,
      maxFrameBytes: 16_384 * (1 + this.#below(4)),
    });
    const now = () => this.#nowMs;
    this.#client = new Side(true, limits(), now);
    this.#server = new Side(false, limits(), now);
    this.#run();
  }

  /** Frames that both sides have read. */
  get frames(): number {
    return this.#client.connection.framesRead + this.#server.connection.framesRead;
  }

  /** Does something, anything. */
  step(): void {
    this.#nowMs += this.#below(20);
    const side = this.#random() < 0.5 ? this.#client : this.#server;
    const party = this.#anyOf(side);
    const choice = this.#random();
    if (choice < 0.16) this.#open();
    else if (choice < 0.4) party?.send(Math.floor(this.#random() ** 16 * 100_000), this.#random() < 0.2);
    else if (choice < 0.48) {
      if (!side.isClient || this.#random() < 0.1) party?.sendTrailers();
    } else if (choice < 0.64) party?.consume(this.#below(party.heldBytes + 1));
    else if (choice < 0.66) party?.reset(8);
    else if (choice < 0.68) side.connection.setWritable(this.#random() < 0.6);
    else if (choice < 0.69) side.connection.ping(() => {});
    else side.move(side.isClient ? this.#server : this.#client, 1 + Math.floor(this.#random() ** 3 * 40_000));
    this.#forget();
  }

  /** Lets everything arrive, ends every stream, and asserts that nothing is left. */
  finish(): void {
    const sides = [this.#client, this.#server];
    if (this.#random() < 0.3) this.#server.connection.goaway(0x7fff_ffff, 0);
    for (const { connection } of sides) connection.setWritable(true);
    this.#run();
    for (const side of sides) for (const party of side.parties.values()) party.sendTrailers();
    this.#run();
    for (const side of sides) {
      assert.equal(side.connection.streamCount, 0);
      assert.equal(side.connection.pendingBytes, 0);
      assert.ok(side.connection.sendWindow >= 30_000, "the connection's window did not open again");
    }
    this.#forget();
    assert.equal(this.#client.parties.size, 0, "a stream has not ended");
    assert.equal(this.#server.parties.size, 0, "a stream has not ended");
  }

  #open(): void {
    const { connection, headers, parties } = this.#client;
    if (!connection.canOpen) return;
    const party = new Party(this.#client);
    const value = "v".repeat(Math.floor(this.#random() ** 40 * 40_000));
    const end = this.#random() < 0.2;
    party.hasSentEnd = end;
    party.stream = connection.open(party, headers, ["x-number", String(parties.size), "x-value", value], end);
    parties.set(party.stream.id, party);
  }

  /** Moves and consumes until nothing moves. */
  #run(): void {
    const sides = [this.#client, this.#server];
    for (;;) {
      const moved =
        this.#client.move(this.#server, Number.POSITIVE_INFINITY) +
        this.#server.move(this.#client, Number.POSITIVE_INFINITY);
      for (const side of sides) for (const party of side.parties.values()) party.consume(party.heldBytes);
      if (moved === 0) return;
    }
  }

  #below(end: number): number {
    return Math.floor(this.#random() * end);
  }

  #anyOf({ parties }: Side): Party | undefined {
    let skip = this.#below(parties.size);
    for (const party of parties.values()) if (skip-- === 0) return party;
    return undefined;
  }

  /** Compares what both sides of a stream know once it is over, and lets go of it. */
  #forget(): void {
    for (const [id, client] of this.#client.parties) {
      const server = this.#server.parties.get(id);
      if (!client.isOver) continue;
      // Refused, or reset before it left or arrived.
      if (server === undefined) {
        if (client.isReset) this.#client.parties.delete(id);
        continue;
      }
      if (!server.isOver) continue;
      assert.ok(client.receivedBytes <= server.sentBytes && server.receivedBytes <= client.sentBytes);
      if (client.hasEnd) assert.equal(client.receivedBytes, server.sentBytes);
      // A server may end before it has all of the request: then it resets.
      if (server.hasEnd) assert.equal(server.receivedBytes, client.sentBytes);
      this.#client.parties.delete(id);
      this.#server.parties.delete(id);
    }
    for (const [id, server] of this.#server.parties) {
      if (server.isOver && !this.#client.parties.has(id)) this.#server.parties.delete(id);
    }
  }
}
