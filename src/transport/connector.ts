// The Connector contract: how an endpoint is reached. Implementations live in src/connector; this room knows no network.

import type { Transport } from "@connectrpc/connect";
import type { Endpoint } from "../core/endpoint.ts";

/**
 * Where a connection stands.
 * - `idle`: not connected and not trying; `connect()` starts.
 * - `connecting`: an attempt is under way.
 * - `ready`: calls can be sent.
 * - `draining`: the server asked us to leave, or `drain()` was called: calls in flight go on, new ones are refused.
 * - `closed`: over for good. `reason` says why: undefined after a close that was asked for and orderly.
 */
export type ConnectionState =
  | { readonly type: "idle" }
  | { readonly type: "connecting" }
  | { readonly type: "ready"; readonly sinceMs: number }
  | { readonly type: "draining" }
  | { readonly type: "closed"; readonly reason: unknown };

/** One connection to one endpoint. It moves through its states once, forwards only; a lost connection is replaced, not revived. */
export interface Connection {
  readonly endpoint: Endpoint;
  readonly state: ConnectionState;
  /** Starts connecting; does nothing in any state but `idle`. */
  connect(): void;
  /**
   * Sends calls on this connection and no other. A call made in another state than `ready` fails as unprocessed
   * (see call-fate.ts), and so does one that the peer refused before its program saw it.
   */
  readonly transport: Transport;
  /** Takes no new calls, finishes those in flight, then closes. Idempotent; resolves when closed. */
  drain(): Promise<void>;
  /** Closes now: calls in flight fail with `unavailable`. Idempotent; resolves when the socket is gone. */
  close(reason?: unknown): Promise<void>;
}

/** What a connection tells its owner. */
export interface ConnectionListener {
  /** Called once for every change of state, in order, never from within the call of the connector or of `connect()`. */
  onState(state: ConnectionState): void;
}

/** A way to reach endpoints. Opens no socket before `connect()`. */
export type Connector = (endpoint: Endpoint, listener: ConnectionListener) => Connection;
