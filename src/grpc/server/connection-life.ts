// How long a server keeps a connection: its age, its idleness, peers that ask too often and peers that answer no more.
// gRFC A8 (keepalive), server side, and A9 (connection age). Holds timers from `start()` to `stop()`.
// https://github.com/grpc/proposal/blob/master/A9-server-side-conn-mgt.md

import type { Clock } from "../../core/clock.ts";
import { maxTimerMs } from "../../core/clock.ts";
import type { Logger } from "../../core/logger.ts";
import { jitter, type Random } from "../../core/random.ts";
import { ErrorCode } from "../../http2/error-code.ts";
import type { Http2Session } from "../../http2/session.ts";
import { Keepalive } from "../keepalive.ts";

/** The limits of a connection's life; milliseconds, Infinity for no limit. */
export interface ConnectionLifeLimits {
  /** Silence after which the client is sent a PING, and how long it may take to answer. */
  readonly keepaliveTimeMs: number;
  readonly keepaliveTimeoutMs: number;
  /** Least time between the client's PINGs; 0: any. */
  readonly minPingMs: number;
  /** Age at which the client is asked to leave, give or take a tenth; and how long its calls then get. */
  readonly maxAgeMs: number;
  readonly maxAgeGraceMs: number;
  /** Time without a call after which the client is asked to leave. */
  readonly maxIdleMs: number;
}

/** What a ConnectionLife is made with. */
export interface ConnectionLifeParts {
  readonly session: Http2Session;
  readonly limits: ConnectionLifeLimits;
  readonly clock: Clock;
  readonly random: Random;
  /** Told of calls that are cut. */
  readonly logger: Logger;
}

/** How many PINGs may come too early: A8, "Server Enforcement". */
const maxStrikes = 2;

const jitterRatio = 0.1;

export class ConnectionLife {
  readonly #session: Http2Session;
  readonly #limits: ConnectionLifeLimits;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #logger: Logger;
  #keepalive: Keepalive | undefined;
  #cancelAge: (() => void) | undefined;
  #cancelIdle: (() => void) | undefined;
  #idleSinceMs = 0;
  #lastPingMs: number = Number.NEGATIVE_INFINITY;
  #sentAtPing = 0;
  #strikes = 0;

  constructor({ session, limits, clock, random, logger }: ConnectionLifeParts) {
    this.#session = session;
    this.#limits = limits;
    this.#clock = clock;
    this.#random = random;
    this.#logger = logger;
  }

  /** The connection is there. Once. */
  start(): void {
    const { keepaliveTimeMs, keepaliveTimeoutMs, maxAgeMs, maxIdleMs } = this.#limits;
    const session = this.#session;
    if (keepaliveTimeMs < Number.POSITIVE_INFINITY) {
      this.#keepalive = new Keepalive({
        connection: session.connection,
        clock: this.#clock,
        timeMs: keepaliveTimeMs,
        timeoutMs: keepaliveTimeoutMs,
        permitWithoutCalls: true,
        onDead: () => session.destroy(new Error("the client answers no PING")),
      });
      this.#keepalive.start();
    }
    if (maxAgeMs < Number.POSITIVE_INFINITY) {
      const ageMs = jitter(maxAgeMs, jitterRatio, this.#random);
      this.#cancelAge = this.#clock.schedule(ageMs, () => this.#onAge());
    }
    if (maxIdleMs < Number.POSITIVE_INFINITY) {
      this.#idleSinceMs = this.#clock.now();
      this.#waitIdle(maxIdleMs);
    }
  }

  /** The connection is gone. */
  stop(): void {
    this.#keepalive?.stop();
    this.#cancelAge?.();
    this.#cancelIdle?.();
  }

  /** A stream came. */
  onStream(): void {
    this.#keepalive?.onStream();
  }

  /** The last stream has ended. */
  onIdle(): void {
    // A timer a call would cost more than the call: one looks later how long it was.
    if (this.#cancelIdle !== undefined) this.#idleSinceMs = this.#clock.now();
  }

  /** The client sent a PING. */
  onPing(): void {
    const { minPingMs } = this.#limits;
    if (minPingMs === 0) return;
    const { connection } = this.#session;
    const nowMs = this.#clock.now();
    const isEarly = nowMs - this.#lastPingMs < minPingMs;
    // Who gets data may ask: that is how windows are measured.
    const isAnswered = connection.sentBytes !== this.#sentAtPing;
    this.#lastPingMs = nowMs;
    this.#sentAtPing = connection.sentBytes;
    this.#strikes = isEarly && !isAnswered ? this.#strikes + 1 : 0;
    if (this.#strikes > maxStrikes) connection.fail(ErrorCode.enhanceYourCalm, "too_many_pings");
  }

  #onAge(): void {
    const { maxAgeGraceMs } = this.#limits;
    this.#session.leave();
    this.#cancelAge = undefined;
    if (maxAgeGraceMs === Number.POSITIVE_INFINITY) return;
    this.#cancelAge = this.#clock.schedule(maxAgeGraceMs, () => {
      const cut = this.#session.connection.streamCount;
      if (cut > 0) this.#logger.info("Connection closed at the end of its age and grace", { cut });
      this.#session.destroy(new Error("the connection's age and grace are over"));
    });
  }

  #waitIdle(waitMs: number): void {
    this.#cancelIdle = this.#clock.schedule(Math.min(waitMs, maxTimerMs), () => {
      const { maxIdleMs } = this.#limits;
      const isBusy = this.#session.connection.streamCount > 0;
      const leftMs = isBusy ? maxIdleMs : maxIdleMs - (this.#clock.now() - this.#idleSinceMs);
      if (leftMs > 0) this.#waitIdle(leftMs);
      else this.#session.leave();
    });
  }
}
