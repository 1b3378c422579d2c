// A gRPC server on a connection in memory, and a client that is nothing but HTTP/2: bytes move when a test says so.

import { type DescMethod, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import type { ConnectRouter, ConnectRouterOptions } from "@connectrpc/connect";
import type { Compression } from "@connectrpc/connect/protocol";
import { CallTracker } from "../../src/grpc/server/call-tracker.ts";
import { GrpcSession } from "../../src/grpc/server/grpc-session.ts";
import { type ConnectionLimits, Http2Connection, type Http2Host } from "../../src/http2/connection.ts";
import type { Stream } from "../../src/http2/stream.ts";
import { createRecordingRouter } from "../../src/server/recording-router.ts";
import { createManualClock, type ManualClock } from "../../src/testing/manual-clock.ts";
import { createRecorder, type Heard } from "./http2-pair.ts";
import { createRecordingLogger, type RecordingLogger } from "./recording-logger.ts";

/** What a pair is made with. */
export interface GrpcPairOptions extends ConnectRouterOptions {
  readonly routes: (router: ConnectRouter) => void;
  /** What the client allows the server: its windows. */
  readonly client?: Partial<ConnectionLimits>;
  readonly server?: Partial<ConnectionLimits>;
  /** What answers are compressed with for every client that takes it. */
  readonly sendCompression?: Compression;
}

/** A call as its client sees it. */
export interface PairCall {
  readonly stream: Stream;
  readonly heard: Heard;
  /** Header and trailer fields of the answer, `grpc-status` among them. */
  readonly fields: Readonly<Record<string, string>>;
  /** Number of header blocks of the answer: 1 where it is trailers-only. */
  readonly blocks: number;
  /** Data of the answer, joined. */
  readonly data: Uint8Array;
  /** The answer's messages, none of them compressed. */
  messages<M extends DescMethod>(method: M): MessageShape<M["output"]>[];
  /** Sends bytes of the request. */
  send(bytes: Uint8Array, end?: boolean): void;
  reset(code?: number): void;
}

/** How a call begins. */
export interface CallInit {
  /** Names and values in turn, beside those that every call has. */
  readonly fields?: readonly string[];
  readonly contentType?: string;
  readonly method?: string;
  /** The request's bytes; then it ends. */
  readonly body?: Uint8Array;
  /** Whether the answer's bytes are given back to the windows. Default true. */
  readonly consume?: boolean;
}

/** Both ends. */
export interface GrpcPair {
  readonly client: Http2Connection;
  readonly server: Http2Connection;
  readonly calls: CallTracker;
  readonly clock: ManualClock;
  readonly logger: RecordingLogger;
  /** What the server holds of messages that are not whole yet. */
  readonly partial: { readonly bytes: number };
  /** Streams that the gRPC session did not take. */
  readonly left: number;
  open(path: string, init?: CallInit): PairCall;
  /** Moves bytes both ways until none is left. */
  run(): void;
  /** The same, with turns of the event loop between, until nothing moves any more. */
  settle(): Promise<void>;
}

/** Creates a pair whose prefaces have been exchanged. */
export function createGrpcPair({
  routes,
  client: clientLimits,
  server: serverLimits,
  sendCompression,
  ...options
}: GrpcPairOptions): GrpcPair {
  const clock = createManualClock();
  const logger = createRecordingLogger();
  const calls = new CallTracker();
  let left = 0;
  const host: Http2Host = {
    onOutput() {},
    onSettings() {},
    onGoaway() {},
    onIdle() {},
    onSlot() {},
    onRoom: () => session.room.onRoom(),
    onError(_code, reason) {
      throw new Error(reason);
    },
    onStream(stream, block, end) {
      const listener = session.accept(stream, block, end);
      if (listener !== undefined) return listener;
      left++;
      return createRecorder(() => server);
    },
  };
  const now = () => clock.now();
  const client = new Http2Connection({ role: "client", host, now, limits: clientLimits ?? {} });
  const server = new Http2Connection({ role: "server", host, now, limits: serverLimits ?? {} });
  const { router, recorded } = createRecordingRouter({
    options,
    guards: [],
    shutdownSignal: new AbortController().signal,
    sendCompression,
  });
  routes(router);
  const session = new GrpcSession(
    server,
    {
      route: (path) => recorded.find((route) => route.path === path),
      leaves: () => false,
      calls,
      scheme: "http",
      clock,
      logger,
      yieldToLoop: setImmediate,
    },
    () => undefined,
  );
  const move = (from: Http2Connection, to: Http2Connection): number => {
    let moved = 0;
    from.flush((chunk) => {
      moved += chunk.length;
      const copy = chunk.slice();
      to.receive(copy, copy.length);
      // Nobody may keep a view of what came.
      copy.fill(0xee);
    });
    return moved;
  };
  const pair: GrpcPair = {
    client,
    server,
    calls,
    clock,
    logger,
    partial: session.partial,
    get left() {
      return left;
    },
    open(path, { fields = [], contentType = "application/grpc", method = "POST", body, consume = true } = {}) {
      const recorder = createRecorder(() => client, consume);
      const head = [":method", method, ":scheme", "http", ":path", path, ":authority", "host"];
      const all = [...head, "content-type", contentType, "te", "trailers", ...fields];
      const stream = client.open(recorder, client.prepare(all), undefined, false);
      recorder.stream = stream;
      if (body !== undefined) client.sendData(stream, undefined, body, true);
      return createCall(pair, recorder.heard, stream);
    },
    run() {
      while (move(client, server) + move(server, client) > 0);
    },
    async settle() {
      for (let still = 0; still < 3; still++) {
        if (move(client, server) + move(server, client) > 0) still = -1;
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
  };
  client.start();
  server.start();
  pair.run();
  return pair;
}

function createCall({ client }: GrpcPair, heard: Heard, stream: Stream): PairCall {
  return {
    stream,
    heard,
    get fields() {
      return fieldsOf(heard.headers.flat());
    },
    get blocks() {
      return heard.headers.length;
    },
    get data() {
      return Buffer.concat(heard.data);
    },
    messages<M extends DescMethod>(method: M) {
      const data = Buffer.concat(heard.data);
      const messages: MessageShape<M["output"]>[] = [];
      for (let at = 0; at < data.length; ) {
        const end = at + 5 + data.readUInt32BE(at + 1);
        messages.push(fromBinary(method.output, data.subarray(at + 5, end)) as MessageShape<M["output"]>);
        at = end;
      }
      return messages;
    },
    send: (bytes, end = false) => {
      client.sendData(stream, undefined, bytes, end);
    },
    reset: (code = 8) => client.resetStream(stream, code),
  };
}

function fieldsOf(fields: readonly string[]): Record<string, string> {
  const record: Record<string, string> = {};
  for (let index = 0; index < fields.length; index += 2) record[fields[index] ?? ""] = fields[index + 1] ?? "";
  return record;
}
