// HTTP/2 by our own engine, over sockets accepted elsewhere: native gRPC straight to its handlers, everything else as any other engine
// does it. Frames nothing itself.

import type { Socket } from "node:net";
import process from "node:process";
import type { DescMethod } from "@bufbuild/protobuf";
import { deadlineQueueOf } from "../core/deadline-queue.ts";
import type { CallGate } from "../grpc/server/call-gate.ts";
import type { TrackedCall } from "../grpc/server/call-tracker.ts";
import { ConnectionLife, type ConnectionLifeLimits } from "../grpc/server/connection-life.ts";
import type { GrpcRoute } from "../grpc/server/grpc-route.ts";
import { type GrpcServing, GrpcSession } from "../grpc/server/grpc-session.ts";
import { ConnectionError } from "../http2/connection-error.ts";
import { ErrorCode } from "../http2/error-code.ts";
import type { HeaderBlock } from "../http2/hpack/header-decoder.ts";
import { Http2Session, type SessionHost } from "../http2/session.ts";
import type { Stream, StreamListener } from "../http2/stream.ts";
import { wrapNodeSocket } from "../runtime/node-socket.ts";
import { DrainNotice, drainSignal } from "./drain-signal.ts";
import type { Engine, EngineOptions } from "./engine.ts";
import { peerOf, valuesWithPeer } from "./peer.ts";
import { serveStream } from "./stream-exchange.ts";

/** What this engine needs beyond every other. */
export interface SessionEngineOptions extends EngineOptions {
  /** Methods that native gRPC reaches, by path. */
  readonly grpc: ReadonlyMap<string, GrpcRoute>;
  /** Whether requests of pages, which name their origin, are the handler's alone: it answers for CORS. */
  readonly leavesOrigins: boolean;
  /** What native gRPC has to pass, against overload. */
  readonly gateOf: ((method: DescMethod) => CallGate | undefined) | undefined;
  readonly maxConcurrentStreams: number;
  readonly life: ConnectionLifeLimits;
  readonly maxReaderPauseMs: number;
}

/** Creates the engine. It holds nothing but its sessions. */
export function createSessionEngine(options: SessionEngineOptions): Engine {
  const { calls, clock, gateOf, grpc, leavesOrigins, logger, scheme } = options;
  const connections = new Set<Connection>();
  const serving: GrpcServing = {
    route: (path) => grpc.get(path),
    leaves: (fields) => leavesOrigins && hasField(fields, "origin"),
    calls,
    scheme,
    clock,
    logger,
    yieldToLoop: setImmediate,
    ...(gateOf === undefined ? {} : { gateOf }),
  };
  const deadlines = deadlineQueueOf(clock);
  let leaving = false;

  return {
    accept(socket) {
      const connection = new Connection(socket, options, serving, () => {
        connections.delete(connection);
        if (connections.size === 0) deadlines.rest();
      });
      connections.add(connection);
      connection.start();
      if (leaving) connection.leave();
    },
    announceLeave() {},
    leave() {
      leaving = true;
      for (const connection of connections) connection.leave();
    },
    dismiss() {
      const dismissed = [...connections];
      for (const connection of dismissed) connection.leave();
      return {
        calls: () => dismissed.flatMap((connection) => connection.calls()),
        destroy() {
          for (const connection of dismissed) connection.destroy();
        },
      };
    },
    destroy() {
      for (const connection of connections) connection.destroy();
    },
  };
}

/** One client. */
class Connection implements SessionHost {
  readonly #options: SessionEngineOptions;
  readonly #session: Http2Session;
  readonly #grpc: GrpcSession;
  readonly #life: ConnectionLife;
  readonly #notice: DrainNotice = new DrainNotice();
  readonly #onGone: () => void;

  constructor(socket: Socket, options: SessionEngineOptions, serving: GrpcServing, onGone: () => void) {
    const { clock, life, logger, maxConcurrentStreams, maxReaderPauseMs, random } = options;
    this.#options = options;
    this.#onGone = onGone;
    this.#session = new Http2Session({
      role: "server",
      socket: wrapNodeSocket(socket),
      host: this,
      limits: { maxConcurrentStreams },
      timeouts: { windowStallMs: maxReaderPauseMs },
      clock,
      defer: process.nextTick,
    });
    const peer = peerOf(socket);
    const newValues = () => valuesWithPeer(peer).set(drainSignal, this.#notice.signal);
    this.#grpc = new GrpcSession(this.#session.connection, serving, () => this.#session.reason, newValues);
    this.#life = new ConnectionLife({ session: this.#session, limits: life, clock, random, logger });
  }

  start(): void {
    this.#session.start();
    this.#life.start();
  }

  leave(): void {
    this.#session.leave();
    this.#notice.give();
  }

  calls(): TrackedCall[] {
    return this.#session.connection
      .streams()
      .map(({ listener }) => listener)
      .filter(isUnderWay);
  }

  destroy(): void {
    const { connection } = this.#session;
    // The streams first: a client must not take what is cut for a whole answer.
    for (const stream of connection.streams()) connection.failStream(stream, ErrorCode.cancel);
    this.#session.destroy(undefined);
  }

  // What the session tells.

  onStream(stream: Stream, block: HeaderBlock, end: boolean): StreamListener {
    this.#life.onStream();
    return this.#grpc.accept(stream, block, end) ?? this.#exchange(stream, block, end);
  }

  #exchange(stream: Stream, block: HeaderBlock, end: boolean): StreamListener {
    const { calls, clock, handler, refuse, logger, scheme } = this.#options;
    const { connection } = this.#session;
    const { newValues, room, whyOver } = this.#grpc;
    return serveStream(stream, block, end, {
      connection,
      whyOver,
      room,
      handler,
      refuse,
      newValues,
      scheme,
      calls,
      clock,
      logger,
    });
  }

  onSettings(): void {}

  onGoaway(): void {
    // The client opens no more streams: the connection is of no use once they have ended.
    this.#session.leave();
  }

  onPing(): void {
    this.#life.onPing();
  }

  onIdle(): void {
    this.#life.onIdle();
  }

  onSlot(): void {}

  onRoom(): void {
    this.#grpc.room.onRoom();
  }

  onClosed(reason: unknown): void {
    this.#life.stop();
    this.#onGone();
    if (reason instanceof ConnectionError) {
      this.#options.logger.debug("HTTP/2 connection failed", { error: reason });
    }
  }
}

/** Calls and other requests are the listeners of their streams, until all of the answer is handed over. */
function isUnderWay(listener: StreamListener): listener is StreamListener & TrackedCall {
  return "nextCall" in listener && listener.nextCall !== undefined;
}

function hasField(fields: readonly string[], name: string): boolean {
  for (let index = 0; index < fields.length; index += 2) if (fields[index] === name) return true;
  return false;
}
