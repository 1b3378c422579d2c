// The Server contract: a running server from its first listen to its last answer. Types only.

import type { HostPort } from "../core/host-port.ts";
import type { Registration } from "../registry/registration.ts";
import type { HealthReporter } from "./health-status.ts";

/** Where a server is. */
export interface ServerAddress extends HostPort {
  /** Address listened on, as the system gave it: `http://127.0.0.1:10000`, `https` with TLS. */
  readonly url: string;
  /** What others are told to dial, in Consul and elsewhere. The same as host and port unless `advertise` says otherwise, or the host is a wildcard. */
  readonly announced: HostPort;
}

/** How a drain went. */
export interface DrainReport {
  /** Requests that were under way when the drain began and ended by themselves. */
  readonly finished: number;
  /** Requests ended by force when the grace was over, whenever they had begun. */
  readonly cut: number;
  /** Milliseconds from the call of `drain()` to the last connection's end. */
  readonly tookMs: number;
}

/**
 * Where a server stands. It moves through its states once, forwards only.
 * - `starting`: the port is being opened.
 * - `serving`: calls are answered. Says nothing about Consul: see `registration.state`.
 * - `draining`: leaving; calls are still answered until every client was told.
 * - `closed`: over. `error` is there if it never served: a ListenError, mostly.
 */
export type ServerState =
  | { readonly type: "starting" }
  | { readonly type: "serving"; readonly address: ServerAddress; readonly sinceMs: number }
  | { readonly type: "draining"; readonly sinceMs: number }
  | { readonly type: "closed"; readonly report: DrainReport; readonly error?: unknown };

/** A server that `serve` started. Its owner closes it. */
export interface Server extends AsyncDisposable {
  readonly state: ServerState;
  /**
   * Resolves when it serves, registered or not. Rejects with ListenError where the port cannot be had, or with an Error where
   * the server was closed first. Nobody has to listen: it is never an unhandled rejection.
   */
  readonly ready: Promise<ServerAddress>;
  /** The address, from the moment that `ready` resolves; undefined before. */
  readonly address: ServerAddress | undefined;
  /** What `grpc.health.v1` and `/healthz` answer with. */
  readonly health: HealthReporter;
  /** The instance in Consul; undefined without `consul` and until the server listens. */
  readonly registration: Registration | undefined;
  /**
   * Leaves without failing a call: health turns NOT_SERVING; the instance is deregistered and seen gone while calls are still
   * answered; after `drainMarginMs` the port closes and every client is asked to leave (HTTP/2 by GOAWAY); calls under way
   * get up to `graceMs`, then their signals abort and they are cut. Without a registration the first steps fall away.
   * Idempotent: the same promise, which never rejects.
   */
  drain(): Promise<DrainReport>;
  /** The same as `drain()`. */
  close(): Promise<DrainReport>;
}
