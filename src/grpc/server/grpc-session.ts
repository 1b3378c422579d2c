// The gRPC side of one HTTP/2 connection: tells which of its streams are calls of ours, and starts them. Opens and closes nothing.

import type { DescMethod } from "@bufbuild/protobuf";
import { type ContextValues, createContextValues } from "@connectrpc/connect";
import type { Clock } from "../../core/clock.ts";
import { type DeadlineQueue, deadlineQueueOf } from "../../core/deadline-queue.ts";
import type { Logger } from "../../core/logger.ts";
import type { Http2Connection } from "../../http2/connection.ts";
import { ErrorCode } from "../../http2/error-code.ts";
import type { HeaderBlock } from "../../http2/hpack/header-decoder.ts";
import type { PreparedFields, Stream, StreamListener } from "../../http2/stream.ts";
import type { PartialBytes } from "../message-reader.ts";
import { statusFields } from "../status.ts";
import { type CallGate, type Refusal, refusalFields } from "./call-gate.ts";
import type { CallHome } from "./call-home.ts";
import type { CallTracker } from "./call-tracker.ts";
import type { GrpcRoute } from "./grpc-route.ts";
import {
  agreeOnEncodings,
  type CallShape,
  grpcFormat,
  type RequestFacts,
  type RequestHead,
  readRequestHead,
  readTimeout,
} from "./request-facts.ts";
import { RoomQueue } from "./room-queue.ts";
import type { ServerCall } from "./server-call.ts";
import { SingleRequestCall } from "./single-request-call.ts";
import { StreamRequestCall } from "./stream-request-call.ts";
import { Turns } from "./turns.ts";

/** What all connections of a server share. */
export interface GrpcServing extends Pick<CallHome, "calls" | "scheme" | "clock" | "logger" | "yieldToLoop"> {
  /** The route of a path; undefined where it is not served here. */
  readonly route: (path: string) => GrpcRoute | undefined;
  /** Whether a request is to be left to others whatever its path, by its fields; asked once for each block that comes again. */
  readonly leaves: (fields: readonly string[]) => boolean;
  /** What calls of a method have to pass, against overload; undefined: nothing. Absent: none has to. */
  readonly gateOf?: (method: DescMethod) => CallGate | undefined;
}

/**
 * What the calls of a connection may hold of messages that come in pieces: the windows do not bound it, as a message may be larger than
 * any, and every stream might hold one of `readMaxBytes`. Room for 64 messages of 4 MiB at a time.
 */
const maxPartialBytes: number = 256 * 1024 * 1024;

/**
 * Messages that a connection has unpacked at a time: a few hundred bytes may become as much as is taken, and a thousand streams a
 * thousand times as much. As many as Node does at once.
 */
const maxUnpacking = 4;

/** The shapes that a connection remembers; most clients have a handful. */
const maxShapes = 64;

export class GrpcSession implements CallHome {
  readonly connection: Http2Connection;
  readonly whyOver: () => unknown;
  readonly calls: CallTracker;
  readonly deadlines: DeadlineQueue;
  readonly partial: PartialBytes = { bytes: 0, maxBytes: maxPartialBytes };
  readonly unpacking: Turns;
  readonly room: RoomQueue;
  readonly newValues: () => ContextValues;
  readonly scheme: "http" | "https";
  readonly clock: Clock;
  readonly logger: Logger;
  readonly yieldToLoop: (run: () => void) => void;
  readonly okTrailers: PreparedFields;
  readonly noFields: PreparedFields;
  readonly #serving: GrpcServing;
  readonly #heads: Map<string, PreparedFields> = new Map();
  readonly #shapes: CallShape[] = [];
  readonly #shapeHeads: RequestHead[] = [];
  #lastShape = 0;

  /** `whyOver`, `newValues`: see CallHome. */
  constructor(
    connection: Http2Connection,
    serving: GrpcServing,
    whyOver: () => unknown,
    newValues: () => ContextValues = createContextValues,
  ) {
    this.connection = connection;
    this.whyOver = whyOver;
    this.newValues = newValues;
    this.calls = serving.calls;
    this.deadlines = deadlineQueueOf(serving.clock);
    this.unpacking = new Turns(maxUnpacking, serving.yieldToLoop);
    this.room = new RoomQueue(connection);
    this.scheme = serving.scheme;
    this.clock = serving.clock;
    this.logger = serving.logger;
    this.yieldToLoop = serving.yieldToLoop;
    this.okTrailers = connection.prepare(["grpc-status", "0"]);
    this.noFields = connection.prepare([]);
    this.#serving = serving;
  }

  /**
   * Takes a stream that is a call: a POST of a method that is routed, in a format of gRPC. Undefined for any other, of which nothing
   * has been answered then. To be called from within the connection's `onStream`.
   */
  accept(stream: Stream, block: HeaderBlock, end: boolean): StreamListener | undefined {
    let facts = block.derived as RequestFacts | null | undefined;
    if (facts === undefined) {
      facts = this.#read(block.fields);
      block.derived = facts;
    }
    if (facts === null) return undefined;
    if (facts.refusal !== undefined) {
      this.connection.sendHeaders(stream, facts.shape.trailersOnlyHead, facts.refusal, true);
      return notListening;
    }
    const { gate } = facts.shape;
    if (gate !== undefined) {
      const refusal = gate.refusalFor(facts.timeoutMs);
      if (refusal !== undefined) {
        this.#turnAway(stream, facts.shape, refusal);
        return notListening;
      }
    }
    const { kind } = facts.shape.route.spec;
    const call: ServerCall =
      kind === "unary" || kind === "server_streaming"
        ? new SingleRequestCall(this, stream, facts, block.fields)
        : new StreamRequestCall(this, stream, facts, block.fields);
    // What it sends at once is told to nobody else.
    stream.listener = call;
    call.start(end);
    return call;
  }

  #turnAway(stream: Stream, shape: CallShape, { pushbackMs }: Refusal): void {
    if (pushbackMs === undefined) this.connection.resetStream(stream, ErrorCode.refusedStream);
    else this.connection.sendHeaders(stream, shape.trailersOnlyHead, refusalFields(pushbackMs), true);
  }

  /** Null where it is no call of ours. */
  #read(fields: readonly string[]): RequestFacts | null {
    const head = readRequestHead(fields);
    const shape = this.#shapeOf(head);
    if (shape === undefined || this.#serving.leaves(fields)) return null;
    let { refusal } = shape;
    let timeoutMs: number | undefined;
    if (head.timeout !== "") {
      const timeout = readTimeout(head.timeout, shape.route.maxTimeoutMs);
      if (typeof timeout === "number") timeoutMs = timeout;
      else refusal ??= statusFields(timeout);
    }
    return { shape, timeoutMs, refusal };
  }

  #shapeOf(head: RequestHead): CallShape | undefined {
    for (let tried = 0; tried < this.#shapes.length; tried++) {
      const index = (this.#lastShape + tried) % this.#shapes.length;
      const known = this.#shapeHeads[index];
      if (known === undefined || !isSameShape(known, head)) continue;
      this.#lastShape = index;
      return this.#shapes[index];
    }
    const shape = this.#newShape(head);
    if (shape === undefined) return undefined;
    if (this.#shapes.length === maxShapes) {
      this.#shapes.length = 0;
      this.#shapeHeads.length = 0;
    }
    this.#lastShape = this.#shapes.length;
    this.#shapes.push(shape);
    this.#shapeHeads.push(head);
    return shape;
  }

  #newShape(head: RequestHead): CallShape | undefined {
    const format = grpcFormat(head.contentType);
    const route = head.method === "POST" && format !== undefined ? this.#serving.route(head.path) : undefined;
    if (route === undefined) return undefined;
    const { request, response, refusal } = agreeOnEncodings(route, head.encoding, head.acceptEncoding);
    const contentType = `application/grpc+${format === "json" ? "json" : "proto"}`;
    return {
      route,
      codec: format === "json" ? route.json : route.binary,
      requestCompression: request,
      responseCompression: response,
      head: this.#head(contentType, response?.name),
      trailersOnlyHead: this.#head(contentType, undefined),
      gate: this.#serving.gateOf?.(route.method),
      refusal,
    };
  }

  #head(contentType: string, encoding: string | undefined): PreparedFields {
    const key = `${contentType} ${encoding ?? ""}`;
    let prepared = this.#heads.get(key);
    if (prepared === undefined) {
      const fields = [":status", "200", "content-type", contentType];
      prepared = this.connection.prepare(encoding === undefined ? fields : [...fields, "grpc-encoding", encoding]);
      this.#heads.set(key, prepared);
    }
    return prepared;
  }
}

function isSameShape(known: RequestHead, head: RequestHead): boolean {
  return (
    known.path === head.path &&
    known.method === head.method &&
    known.contentType === head.contentType &&
    known.encoding === head.encoding &&
    known.acceptEncoding === head.acceptEncoding
  );
}

/** For streams whose answer is complete. */
const notListening: StreamListener = { onHeaders() {}, onData() {}, onReset() {}, onDrained() {} };
