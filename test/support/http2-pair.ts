// A client's and a server's HTTP/2 connection joined in memory. Bytes move when `run` is called, in pieces as long as the test says.

import { type ConnectionLimits, Http2Connection, type Http2Host } from "../../src/http2/connection.ts";
import type { HeaderBlock } from "../../src/http2/hpack/header-decoder.ts";
import type { Stream, StreamListener } from "../../src/http2/stream.ts";

/** Everything a listener was told, in order. */
export interface Heard {
  readonly headers: (readonly string[])[];
  readonly data: Uint8Array[];
  ended: boolean;
  reset: { readonly code: number; readonly unprocessed: boolean } | undefined;
  drained: number;
}

/** A listener that remembers, and gives back what it read. */
export interface Recorder extends StreamListener {
  readonly heard: Heard;
  stream: Stream | undefined;
}

/** Creates a recorder. `consume` false keeps the windows closed. */
export function createRecorder(connection: () => Http2Connection, consume = true): Recorder {
  const heard: Heard = { headers: [], data: [], ended: false, reset: undefined, drained: 0 };
  const recorder: Recorder = {
    heard,
    stream: undefined,
    onHeaders(block: HeaderBlock, end: boolean) {
      heard.headers.push(block.fields);
      if (end) heard.ended = true;
    },
    onData(bytes, from, to, end) {
      if (to > from) heard.data.push(bytes.slice(from, to));
      if (end) heard.ended = true;
      if (consume && recorder.stream !== undefined) connection().consumed(recorder.stream, to - from);
    },
    onReset(code, unprocessed) {
      heard.reset = { code, unprocessed };
    },
    onDrained() {
      heard.drained++;
    },
  };
  return recorder;
}

/** Both ends. */
export interface Http2Pair {
  readonly client: Http2Connection;
  readonly server: Http2Connection;
  /** Errors that either end reported: its role, the code and the reason. */
  readonly errors: (readonly [role: string, code: number, reason: string])[];
  /** Streams that the server took, in order, with what it heard on them. */
  readonly taken: { readonly stream: Stream; readonly block: HeaderBlock; readonly recorder: Recorder }[];
  /** How often the client was told that it may open a stream again. */
  readonly slots: number;
  /** Moves bytes both ways until none is left. `cut` says how long the next piece is. */
  run(cut?: () => number): void;
}

/** What a pair is made with. */
export interface Http2PairOptions {
  readonly client?: Partial<ConnectionLimits>;
  readonly server?: Partial<ConnectionLimits>;
  /** Called when the server took a stream; its recorder is there already. */
  readonly onStream?: (pair: Http2Pair, stream: Stream, recorder: Recorder, end: boolean) => void;
  readonly consume?: boolean;
  readonly now?: () => number;
}

/** Creates a pair whose prefaces have not been exchanged: `run` does it. */
export function createHttp2Pair(options: Http2PairOptions = {}): Http2Pair {
  const errors: (readonly [string, number, string])[] = [];
  const taken: Http2Pair["taken"] = [];
  let slots = 0;
  const host = (role: string): Http2Host => ({
    onOutput() {},
    onSettings() {},
    onGoaway() {},
    onIdle() {},
    onSlot() {
      slots++;
    },
    onError: (code, reason) => errors.push([role, code, reason]),
    onStream(stream, block, end) {
      const recorder = createRecorder(() => pair.server, options.consume);
      recorder.stream = stream;
      if (end) recorder.heard.ended = true;
      taken.push({ stream, block, recorder });
      options.onStream?.(pair, stream, recorder, end);
      return recorder;
    },
  });
  const now = options.now ?? (() => 0);
  const client = new Http2Connection({ role: "client", host: host("client"), limits: options.client ?? {}, now });
  const server = new Http2Connection({ role: "server", host: host("server"), limits: options.server ?? {}, now });
  client.start();
  server.start();
  const move = (from: Http2Connection, to: Http2Connection, cut: (() => number) | undefined): number => {
    let moved = 0;
    from.flush((chunk) => {
      moved += chunk.length;
      for (let at = 0; at < chunk.length; ) {
        const piece = chunk.slice(at, at + (cut?.() ?? chunk.length));
        to.receive(piece, piece.length);
        at += piece.length;
      }
    });
    return moved;
  };
  const pair: Http2Pair = {
    client,
    server,
    errors,
    taken,
    get slots() {
      return slots;
    },
    run(cut) {
      while (move(client, server, cut) + move(server, client, cut) > 0);
    },
  };
  return pair;
}
