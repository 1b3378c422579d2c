// One endpoint and the connection to it, kept alive: connects, replaces what is lost, backs off when it cannot.
// The name is gRPC's. Places no calls and chooses nothing.

import { type Backoff, type BackoffOptions, createBackoff } from "../../core/backoff.ts";
import type { Clock } from "../../core/clock.ts";
import type { Endpoint } from "../../core/endpoint.ts";
import type { CallCounts, Connection, ConnectionState, Connector } from "../connector.ts";
import { countedConnection } from "./counted-connection.ts";
import type { Health, WatchHealth } from "./health-watch.ts";

/**
 * A connection that is lost younger than this counts as a failed attempt, unless a call ended well on it: a server that accepts and hangs up must
 * not be hammered, and a network that loses connections must not make each wait longer than the last.
 */
const provenAfterMs = 1000;

/** What a subchannel needs. */
export interface SubchannelOptions {
  readonly connector: Connector;
  readonly clock: Clock;
  readonly backoff: BackoffOptions;
  /** Asks a connection for the health of its server; undefined: whoever is connected is well. */
  readonly watchHealth: WatchHealth | undefined;
  /** Called after every change of `state`, but those that were asked for here. */
  readonly onChange: (subchannel: Subchannel) => void;
}

/**
 * Where a subchannel stands.
 * - `idle`: not connected and not trying, as nobody calls; `start()` goes on.
 * - `connecting`: trying, or connected and not known to be healthy yet; no attempt has failed since it was last ready.
 * - `failing`: the last attempt failed; tries again after the backoff, and stays `failing` until one succeeds. Or it is connected, and its server
 *   says that it is not serving.
 */
export type SubchannelState = "idle" | "connecting" | "ready" | "failing" | "closed";

type CountedConnection = ReturnType<typeof countedConnection>;

export class Subchannel {
  /** The newest description of the endpoint; its id and url never change. */
  endpoint: Endpoint;
  state: SubchannelState = "connecting";
  /** When it came into this state, by the clock. */
  stateSinceMs: number;
  /** Why the last attempt failed or the last connection was lost. */
  lastError: unknown;
  /** True while the connection alone vouches for the endpoint: when it is lost, no other is opened. */
  isLast = false;
  readonly #options: SubchannelOptions;
  readonly #backoff: Backoff;
  #connection: CountedConnection | undefined;
  /** Connections that still finish calls. */
  readonly #leaving = new Set<CountedConnection>();
  /** What connections counted that are closed by now. */
  #pastOk = 0;
  #pastUnaryEnded = 0;
  #cancelRetry: (() => void) | undefined;
  #watchHealth: WatchHealth | undefined;
  #stopWatch: (() => void) | undefined;
  #readySinceMs: number | undefined;
  /** When the last attempt began. */
  #attemptedAtMs = 0;
  /** The server asked the last connection to end while it was young. */
  #hasLeftYoung = false;

  constructor(endpoint: Endpoint, options: SubchannelOptions) {
    this.endpoint = endpoint;
    this.#options = options;
    this.stateSinceMs = options.clock.now();
    this.#backoff = createBackoff(options.backoff);
    this.#watchHealth = options.watchHealth;
  }

  /** The connection to send calls on; undefined unless the state is `ready`. */
  get connection(): Connection | undefined {
    return this.state === "ready" ? this.#connection : undefined;
  }

  /** What its connections know of their calls, summed up: the present one, those that finish, and those that are closed. */
  get counts(): CallCounts {
    const sum = { ok: this.#pastOk, active: 0, unaryActive: 0, unaryEnded: this.#pastUnaryEnded };
    if (this.#connection !== undefined) add(sum, this.#connection.counts);
    for (const { counts } of this.#leaving) add(sum, counts);
    // The watch of its health is nobody's call.
    if (this.#stopWatch !== undefined && sum.active > 0) sum.active--;
    return sum;
  }

  /** Starts the first attempt; at first, and after `rest()`. */
  start(): void {
    if (this.state === "closed") return;
    this.#enter("connecting");
    this.#open();
  }

  /** Closes the connection when its calls are done, and does not try any more until `start()`. */
  rest(): void {
    if (this.state === "closed") return;
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    this.#readySinceMs = undefined;
    this.#backoff.reset();
    this.#enter("idle");
    const connection = this.#connection;
    this.#leave();
    void connection?.drain();
  }

  /** Tries at once where it waits for the next attempt: there is news of the endpoint. */
  retryNow(): void {
    if (this.#cancelRetry === undefined) return;
    this.#cancelRetry();
    this.#backoff.reset();
    this.#open();
  }

  /** Sends a PING; false where there is no connection, or one that cannot. `onAnswer` is not called where it is lost before. */
  ping(onAnswer: () => void): boolean {
    const { connection } = this;
    if (connection?.ping === undefined) return false;
    connection.ping(onAnswer);
    return true;
  }

  /** Gives the connection up, which has not answered a PING for so many milliseconds, and opens another. Its calls fail. */
  renew(silentMs: number): void {
    void this.connection?.close(new Error(`the server has not answered a PING in ${silentMs} ms`));
  }

  /** Takes no new calls; resolves when those in flight are done and every connection is closed. Idempotent. */
  async drain(): Promise<void> {
    this.#stop();
    await Promise.all([...this.#leaving].map((connection) => connection.drain()));
  }

  /** Closes every connection now; calls in flight fail. Idempotent. */
  async close(reason: unknown): Promise<void> {
    this.#stop();
    await Promise.all([...this.#leaving].map((connection) => connection.close(reason)));
  }

  #stop(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    this.#leave();
    this.#move("closed");
  }

  #open(): void {
    this.#cancelRetry = undefined;
    this.#attemptedAtMs = this.#options.clock.now();
    const connection: CountedConnection = countedConnection(
      this.#options.connector(this.endpoint, {
        onState: (state) => this.#onConnectionState(connection, state),
      }),
      this.#options.clock,
    );
    this.#connection = connection;
    connection.connect();
  }

  #leave(): void {
    this.#stopWatch?.();
    this.#stopWatch = undefined;
    if (this.#connection !== undefined) this.#leaving.add(this.#connection);
    this.#connection = undefined;
  }

  /** Its calls have ended, and still count. */
  #forget(connection: CountedConnection): void {
    if (!this.#leaving.delete(connection) && connection !== this.#connection) return;
    this.#pastOk += connection.counts.ok;
    this.#pastUnaryEnded += connection.counts.unaryEnded;
  }

  #onConnectionState(connection: CountedConnection, state: ConnectionState): void {
    if (state.type === "closed") this.#forget(connection);
    if (connection !== this.#connection) return;
    switch (state.type) {
      case "idle":
      case "connecting":
        return;
      case "ready":
        this.#readySinceMs = this.#options.clock.now();
        this.lastError = undefined;
        if (this.#watchHealth === undefined) this.#move("ready");
        else this.#watch(this.#watchHealth, connection);
        return;
      case "draining":
        // The server is leaving. It may be back on the same address by the time we connect again.
        this.#leave();
        this.#reconnect(connection, new Error(`${this.endpoint.url} asked for the connection to end`), true);
        return;
      case "closed":
        this.#leave();
        this.#leaving.delete(connection);
        this.#reconnect(
          connection,
          state.reason ?? new Error(`the connection to ${this.endpoint.url} was closed`),
          false,
        );
        return;
      default:
        state satisfies never;
    }
  }

  /**
   * After a loss: at once where the connection had proven itself, else after the backoff. A server that answered and asks us to leave is
   * no fault, and calls wait for the next connection; one that asks so of each gets a new one a second.
   */
  #reconnect(lost: CountedConnection, error: unknown, wasAskedTo: boolean): void {
    this.lastError = error;
    const { clock } = this.#options;
    const readySinceMs = this.#readySinceMs;
    this.#readySinceMs = undefined;
    const readyMs = readySinceMs === undefined ? undefined : clock.now() - readySinceMs;
    const hasServed = !wasAskedTo && lost.counts.ok > 0;
    const isProven = readyMs !== undefined && (hasServed || readyMs >= provenAfterMs);
    if (this.isLast) {
      this.#move("failing");
      return;
    }
    if (isProven) this.#backoff.reset();
    if (isProven || (readyMs !== undefined && wasAskedTo)) {
      const pauseMs = isProven || !this.#hasLeftYoung ? 0 : provenAfterMs - readyMs;
      this.#hasLeftYoung = !isProven;
      if (pauseMs === 0) this.#open();
      else this.#cancelRetry = clock.schedule(pauseMs, () => this.#open());
      this.#move("connecting");
      return;
    }
    // From the beginning of an attempt to that of the next: gRPC's connection-backoff.md. Of a connection that came about, from its loss.
    const attemptMs = readyMs === undefined ? clock.now() - this.#attemptedAtMs : 0;
    this.#cancelRetry = clock.schedule(Math.max(0, this.#backoff.next() - attemptMs), () => this.#open());
    this.#move("failing");
  }

  /** Who asks for the health of the server, from now on. */
  set watchHealth(watchHealth: WatchHealth | undefined) {
    if (watchHealth === this.#watchHealth) return;
    this.#watchHealth = watchHealth;
    const connection = this.#connection;
    if (connection?.state.type !== "ready") return;
    this.#stopWatch?.();
    this.#stopWatch = undefined;
    if (watchHealth === undefined) this.#move("ready");
    else this.#watch(watchHealth, connection);
  }

  #watch(watchHealth: WatchHealth, connection: CountedConnection): void {
    this.#stopWatch = watchHealth(connection, (health) => this.#onHealth(connection, health));
  }

  #onHealth(connection: CountedConnection, health: Health): void {
    if (connection !== this.#connection) return;
    if (health.type === "healthy" && health.isUnwatched) this.#stopWatch = undefined;
    if (health.type === "unhealthy") this.lastError = health.reason;
    this.#move(health.type === "healthy" ? "ready" : health.type === "unknown" ? "connecting" : "failing");
  }

  #move(state: SubchannelState): void {
    if (this.state === state || this.state === "closed") return;
    this.#enter(state);
    this.#options.onChange(this);
  }

  #enter(state: SubchannelState): void {
    this.state = state;
    this.stateSinceMs = this.#options.clock.now();
  }
}

function add(sum: { -readonly [Name in keyof CallCounts]: number }, counts: CallCounts): void {
  sum.ok += counts.ok;
  sum.active += counts.active;
  sum.unaryActive += counts.unaryActive;
  sum.unaryEnded += counts.unaryEnded;
}
