// HTTP/2 by the runtime's own node:http2, over sockets accepted elsewhere: what `http2: "node"` asks for. Frames nothing itself.

import {
  constants,
  createServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from "node:http2";
import type { Socket } from "node:net";
import { type ContextValues, createContextValues } from "@connectrpc/connect";
import type { Clock } from "../core/clock.ts";
import { DrainNotice, drainSignal } from "./drain-signal.ts";
import type { Engine, EngineOptions } from "./engine.ts";
import { abandon, ExchangeCall, serveExchange } from "./node-exchange.ts";
import { peerOf, valuesWithPeer } from "./peer.ts";

/** Longest wait for a connection's first SETTINGS, which RFC 9113 section 3.4 wants at once. */
const settingsTimeoutMs = 10_000;
/** Longest wait for the PING between the two GOAWAYs. */
const pingTimeoutMs = 1000;
/** How long a client may go on sending after its answer is complete. */
const uploadGraceMs = 1000;
/** The largest stream id: "no stream is refused yet" in a GOAWAY. */
const maxStreamId = 2 ** 31 - 1;

interface Connection {
  readonly newValues: () => ContextValues;
  readonly session: ServerHttp2Session;
  readonly notice: DrainNotice;
  /** Answers under way. */
  readonly open: Map<Http2ServerResponse, ExchangeCall>;
  /** Called when `open` becomes empty. */
  onIdle: () => void;
}

/** What this engine needs beyond every other. */
export interface Http2EngineOptions extends EngineOptions {
  readonly maxConcurrentStreams: number;
}

/** Creates the engine. It holds nothing but its sessions. */
export function createHttp2Engine(options: Http2EngineOptions): Engine {
  const { handler, refuse, scheme, calls, clock, logger, maxConcurrentStreams } = options;
  const connections = new Map<ServerHttp2Session, Connection>();
  let leaving = false;
  /** The socket of the session that is about to begin. */
  let accepting: Socket | undefined;

  const server = createServer({
    // Beyond this limit node refuses new streams with ENHANCE_YOUR_CALM, counting what is queued for slow readers: a handful of
    // large answers would fail calls. Streams are bounded by flow control instead; grpc-js does the same.
    maxSessionMemory: Number.MAX_SAFE_INTEGER,
    settings: { maxConcurrentStreams },
  });
  server.on("sessionError", (error) => logger.debug("HTTP/2 connection failed", { error }));
  server.on("session", (session) => {
    const peer = peerOf(accepting ?? session.socket);
    const notice = new DrainNotice();
    const newValues = () => valuesWithPeer(peer).set(drainSignal, notice.signal);
    const connection: Connection = { session, newValues, notice, open: new Map(), onIdle: () => {} };
    connections.set(session, connection);
    closeBetweenReads(session);
    const cancel = clock.schedule(settingsTimeoutMs, () => session.destroy());
    session.once("remoteSettings", cancel);
    // Without a listener a GOAWAY with an error code, or a reset, on an idle connection would end the process.
    session.on("error", () => {});
    session.on("close", () => {
      cancel();
      connections.delete(session);
    });
    if (leaving) leave(connection, clock);
  });
  server.on("request", (request: Http2ServerRequest, response: Http2ServerResponse) => {
    const call = new ExchangeCall();
    calls.add(call);
    const { stream } = response;
    const connection = stream.session === undefined ? undefined : connections.get(stream.session as ServerHttp2Session);
    connection?.open.set(response, call);
    response.on("close", () => {
      calls.remove(call);
      connection?.open.delete(response);
      if (connection?.open.size === 0) connection.onIdle();
    });
    stream.once("finish", () => stopUpload(request, response, clock));
    const newValues = connection?.newValues ?? createContextValues;
    void serveExchange(request, response, {
      handler,
      refuse,
      newValues,
      scheme,
      logger,
      call,
      lastOnConnection: () => false,
    });
  });

  return {
    accept(socket) {
      accepting = socket;
      server.emit("connection", socket);
      accepting = undefined;
    },
    announceLeave() {},
    leave() {
      leaving = true;
      for (const connection of connections.values()) leave(connection, clock);
    },
    dismiss() {
      const dismissed = [...connections.values()];
      for (const connection of dismissed) leave(connection, clock);
      return {
        calls: () => dismissed.flatMap(({ open }) => [...open.values()]),
        destroy() {
          for (const connection of dismissed) destroy(connection);
        },
      };
    },
    destroy() {
      for (const connection of connections.values()) destroy(connection);
    },
  };
}

function destroy({ session, open }: Connection): void {
  // The streams first: Bun would end them as if they were complete (1.4.5).
  for (const response of open.keys()) abandon(response);
  session.destroy();
}

/**
 * Puts every end of a session off to the next turn. The runtime ends it by itself when the client's GOAWAY arrives, in the
 * middle of reading. Its answer then names a last stream below those that came in the same packet: node 24.21 refuses them
 * although they are being answered, and Deno 2.9.6 dies of an assertion where there are two (denoland/deno#36788), or of a
 * segmentation fault where the GOAWAY carries an error and frames follow it. A turn later all is well.
 */
function closeBetweenReads(session: ServerHttp2Session): void {
  const close = session.close.bind(session);
  session.close = (callback) => {
    setImmediate(() => close(callback));
  };
  const destroy = session.destroy.bind(session);
  session.destroy = (error, code) => {
    setImmediate(() => destroy(error, code));
  };
}

/**
 * GOAWAY(2^31-1), PING, and GOAWAY(last) when it is answered, as RFC 9113 section 6.8 has it: by then every request that the
 * client sent before it knew has arrived, so whatever is above `last` was not processed, and the client can tell. node and
 * Deno take no new streams after the first GOAWAY, Bun does until the second.
 * A connection without streams gets the second GOAWAY only: node reads no more after the first one then, not even the PING's
 * answer (all measured on node 24.21, Deno 2.9.6, Bun 1.4.5).
 */
function leave(connection: Connection, clock: Clock): void {
  sendGoaway(connection, clock);
  connection.notice.give();
}

function sendGoaway(connection: Connection, clock: Clock): void {
  const { session, open } = connection;
  let cancel = (): void => {};
  const finish = (): void => {
    cancel();
    connection.onIdle = () => {};
    // GOAWAY(last); the session ends by itself with its last stream.
    if (!session.destroyed && !session.closed) session.close();
  };
  if (session.destroyed || session.closed || open.size === 0) {
    finish();
    return;
  }
  cancel = clock.schedule(pingTimeoutMs, finish);
  connection.onIdle = finish;
  try {
    session.goaway(constants.NGHTTP2_NO_ERROR, maxStreamId);
    if (!session.ping(finish)) finish();
  } catch {
    // The session went away by itself meanwhile.
    finish();
  }
}

/**
 * Tells a client that goes on sending though its answer is complete to stop (RFC 9113 section 8.1); until then its stream would
 * hold up a drain. Later rather than at once: a reset overtakes the trailers (measured on node 24.21 and Deno 2.9.6).
 */
function stopUpload(request: Http2ServerRequest, response: Http2ServerResponse, clock: Clock): void {
  const { stream } = response;
  if (request.complete || stream.closed) return;
  const cancel = clock.schedule(uploadGraceMs, () => stream.close(constants.NGHTTP2_NO_ERROR));
  stream.once("close", cancel);
}
