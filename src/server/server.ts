// The Server contract: a running server from its first listen to its last answer. Types only.

import type { HostPort } from "../core/host-port.ts";
import type { Registration } from "../registry/registration.ts";
import type { HealthReporter } from "./health-status.ts";
import type { OverloadStats } from "./overload/call-queue.ts";

/** Where a server is. */
export interface ServerAddress extends HostPort {
  /** Address listened on, as the system gave it: `http://127.0.0.1:10000`, `https` with TLS. */
  readonly url: string;
  /** What others are told to dial, in Consul and elsewhere. The same as host and port unless `advertise` says otherwise, or the host is a wildcard. */
  readonly announced: HostPort;
}

/** What a server is busy with. */
export interface ServerStats {
  /** Requests under way, from their head to the end of their answer; those that wait their turn too. */
  readonly underWay: number;
  /** What it did about overload; undefined without the option. */
  readonly overload: OverloadStats | undefined;
}

/** How a drain went. */
export interface DrainReport {
  /** Requests that were under way when the drain began and ended by themselves. */
  readonly finished: number;
  /** Requests ended by force when the grace was over, whenever they had begun. */
  readonly cut: number;
  /** Milliseconds from the call of `drain()` or `maintenance()` to the last connection's end. */
  readonly tookMs: number;
}

/**
 * Where a server stands. It moves through its states once, forwards only, but between `serving` and `maintenance`.
 * - `starting`: the port is being opened.
 * - `serving`: calls are answered. Says nothing about Consul: see `registration.state`.
 * - `maintenance`: out of rotation by `maintenance()`; calls that come all the same are answered.
 * - `draining`: leaving; calls are still answered until every client was told.
 * - `closed`: over. `error` is there if it never served: a ListenError, mostly.
 */
export type ServerState =
  | { readonly type: "starting" }
  | { readonly type: "serving"; readonly address: ServerAddress; readonly sinceMs: number }
  | { readonly type: "maintenance"; readonly address: ServerAddress; readonly reason: string; readonly sinceMs: number }
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
  /** What it is busy with now. Cheap. */
  stats(): ServerStats;
  /**
   * Takes the server out of rotation without failing a call, and without ending it: health turns NOT_SERVING; the instance goes into
   * Consul's maintenance with this reason, and is seen listed as working no more; after `drainMarginMs` every client that is connected is asked
   * to leave (HTTP/2 by GOAWAY); their calls get up to `graceMs`, then they are cut. As in Consul's own maintenance the process and the port
   * stay, and whoever connects anew is served: try it out before `resume()`. The instance stays registered, its heartbeats go on, and
   * checks that the agent itself makes turn critical.
   *
   * Resolves when the last of those clients has left; again while it lasts: the same. While Consul is away it waits for it, the wish stands.
   * Rejects with ConsulError where Consul refuses, which ends the maintenance, and with an Error where `resume()` or `drain()` comes before
   * the clients were asked, or the server leaves. Nobody has to listen.
   */
  maintenance(reason?: string): Promise<DrainReport>;
  /**
   * Ends the maintenance: health says again what was set, and Consul lists the instance again as its checks have it (those of type `grpc` and
   * `http` pass at their next turn). Resolves when Consul has it; while Consul is away the wish stands. Without maintenance it does nothing.
   * Rejects with ConsulError where Consul refuses, with an Error where the server leaves.
   */
  resume(): Promise<void>;
  /**
   * Leaves without failing a call: health turns NOT_SERVING; the instance is deregistered and seen gone while calls are still
   * answered; after `drainMarginMs` the port closes and every client is asked to leave (HTTP/2 by GOAWAY), which handlers of streams can
   * see by `drainSignal`; calls under way get up to `graceMs`, then their signals abort and they are cut, with `unavailable`. Without a registration the first steps fall away.
   * Idempotent: the same promise, which never rejects.
   */
  drain(): Promise<DrainReport>;
  /** The same as `drain()`. */
  close(): Promise<DrainReport>;
}
