// The Engine contract: who speaks HTTP over a connected socket. One per HTTP version; implementations: http1-engine.ts,
// http2-engine.ts (the runtime's), session-engine.ts (our own). An engine knows neither ports nor TLS nor what is served.

import type { Socket } from "node:net";
import type { UniversalHandlerFn } from "@connectrpc/connect/protocol";
import type { Clock } from "../core/clock.ts";
import type { Logger } from "../core/logger.ts";
import type { Random } from "../core/random.ts";
import type { CallTracker, TrackedCall } from "../grpc/server/call-tracker.ts";
import type { EarlyRefusal } from "./overload/early-refusal.ts";

/** What every engine is made of. */
export interface EngineOptions {
  /** Answers every request. */
  readonly handler: UniversalHandlerFn;
  /** Asked before `handler`, and before anything is made of a request; undefined: none is refused so. */
  readonly refuse: EarlyRefusal | undefined;
  /** Of the URLs that the handler sees. */
  readonly scheme: "http" | "https";
  /** Told of every request. */
  readonly calls: CallTracker;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Connections that were asked to leave. */
export interface Dismissed {
  /** Requests under way on them. */
  calls(): readonly TrackedCall[];
  /** Ends those that are left now, with the requests on them. */
  destroy(): void;
}

/** Speaks one HTTP version. */
export interface Engine {
  /** Takes over a connected socket of which nothing has been read, or what was read was put back. */
  accept(socket: Socket): void;
  /** The server will leave soon: clients that can be told in passing are (HTTP/1.1 answers say `Connection: close`). */
  announceLeave(): void;
  /**
   * Asks every client to leave, those that come later too: requests under way go on, and each connection closes when it has
   * none left.
   */
  leave(): void;
  /** The same for the clients that are connected now: those that come later are served as ever. */
  dismiss(): Dismissed;
  /** Ends every connection now, with the requests on it. */
  destroy(): void;
}
