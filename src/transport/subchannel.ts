// One endpoint and the connection to it, kept alive: connects, replaces what is lost, backs off when it cannot.
// The name is gRPC's. Places no calls and chooses nothing.

import { type Backoff, type BackoffOptions, createBackoff } from "../core/backoff.ts";
import type { Clock } from "../core/clock.ts";
import type { Endpoint } from "../core/endpoint.ts";
import type { Connection, ConnectionState, Connector } from "./connector.ts";

/** A connection that is lost younger than this counts as a failed attempt: a server that accepts and hangs up must not be hammered. */
const provenAfterMs = 1000;

/** What a subchannel needs. */
export interface SubchannelOptions {
  readonly connector: Connector;
  readonly clock: Clock;
  readonly backoff: BackoffOptions;
  /** Called after every change of `state`. */
  readonly onChange: (subchannel: Subchannel) => void;
}

/**
 * Where a subchannel stands.
 * - `connecting`: trying; no attempt has failed since it was last ready.
 * - `failing`: the last attempt failed; tries again after the backoff, and stays `failing` until one succeeds.
 */
export type SubchannelState = "connecting" | "ready" | "failing" | "closed";

export class Subchannel {
  /** The newest description of the endpoint; its id and url never change. */
  endpoint: Endpoint;
  state: SubchannelState = "connecting";
  /** Why the last attempt failed or the last connection was lost. */
  lastError: unknown;
  readonly #options: SubchannelOptions;
  readonly #backoff: Backoff;
  #connection: Connection | undefined;
  /** Connections that still finish calls. */
  readonly #leaving = new Set<Connection>();
  #cancelRetry: (() => void) | undefined;
  #readySinceMs: number | undefined;
  /** The server asked the last connection to end while it was young. */
  #hasLeftYoung = false;

  constructor(endpoint: Endpoint, options: SubchannelOptions) {
    this.endpoint = endpoint;
    this.#options = options;
    this.#backoff = createBackoff(options.backoff);
  }

  /** The connection to send calls on; undefined unless the state is `ready`. */
  get connection(): Connection | undefined {
    return this.state === "ready" ? this.#connection : undefined;
  }

  /** Starts the first attempt. Call once. */
  start(): void {
    this.#open();
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
    const connection = this.#options.connector(this.endpoint, {
      onState: (state) => this.#onConnectionState(connection, state),
    });
    this.#connection = connection;
    connection.connect();
  }

  #leave(): void {
    if (this.#connection !== undefined) this.#leaving.add(this.#connection);
    this.#connection = undefined;
  }

  #onConnectionState(connection: Connection, state: ConnectionState): void {
    if (state.type === "closed") this.#leaving.delete(connection);
    if (connection !== this.#connection) return;
    switch (state.type) {
      case "idle":
      case "connecting":
        return;
      case "ready":
        this.#readySinceMs = this.#options.clock.now();
        this.lastError = undefined;
        this.#move("ready");
        return;
      case "draining":
        // The server is leaving. It may be back on the same address by the time we connect again.
        this.#leave();
        this.#reconnect(new Error(`${this.endpoint.url} asked for the connection to end`), true);
        return;
      case "closed":
        this.#connection = undefined;
        this.#reconnect(state.reason ?? new Error(`the connection to ${this.endpoint.url} was closed`), false);
        return;
      default:
        state satisfies never;
    }
  }

  /**
   * After a loss: at once where the connection had proven itself, else after the backoff. A server that answered and asks us to leave is
   * no fault, and calls wait for the next connection; one that asks so of each gets a new one a second.
   */
  #reconnect(error: unknown, wasAskedTo: boolean): void {
    this.lastError = error;
    const { clock } = this.#options;
    const readySinceMs = this.#readySinceMs;
    this.#readySinceMs = undefined;
    const readyMs = readySinceMs === undefined ? undefined : clock.now() - readySinceMs;
    const isProven = readyMs !== undefined && readyMs >= provenAfterMs;
    if (isProven) this.#backoff.reset();
    if (isProven || (readyMs !== undefined && wasAskedTo)) {
      const pauseMs = isProven || !this.#hasLeftYoung ? 0 : provenAfterMs - readyMs;
      this.#hasLeftYoung = !isProven;
      if (pauseMs === 0) this.#open();
      else this.#cancelRetry = clock.schedule(pauseMs, () => this.#open());
      this.#move("connecting");
      return;
    }
    this.#cancelRetry = clock.schedule(this.#backoff.next(), () => this.#open());
    this.#move("failing");
  }

  #move(state: SubchannelState): void {
    if (this.state === state || this.state === "closed") return;
    this.state = state;
    this.#options.onChange(this);
  }
}
