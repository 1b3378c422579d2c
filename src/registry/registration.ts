// The Registration contract: an instance's life in Consul, owned by whoever registered it. Types only.

/**
 * Where an instance stands with Consul, as far as we know.
 * - `registering`: Consul does not list it as ours yet, or has forgotten it; we keep trying. `attempts` counts from 1.
 * - `registered`: Consul has it, and its first heartbeat was accepted. `sinceMs` is by the registration's clock.
 * - `maintenance`: as `registered`, but out of rotation by `maintenance(true)`.
 * - `closing`, `closed`: being taken out, and out (or given up on, where Consul was away).
 */
export type RegistrationState =
  | { readonly type: "registering"; readonly attempts: number; readonly lastError?: unknown }
  | { readonly type: "registered"; readonly sinceMs: number }
  | { readonly type: "maintenance"; readonly reason: string }
  | { readonly type: "closing" }
  | { readonly type: "closed" };

/** One instance, kept in Consul until closed. */
export interface Registration extends AsyncDisposable {
  /** Service ID in Consul. */
  readonly id: string;
  readonly state: RegistrationState;
  /**
   * Resolves when Consul has the instance and has accepted its first heartbeat (whatever its status); however long that takes.
   * Rejects when the registration is closed before. Nobody has to listen: it is never an unhandled rejection.
   */
  readonly registered: Promise<void>;
  /**
   * Takes the instance out of rotation, or puts it back, and keeps it so through re-registrations. Resolves when Consul has
   * it. While Consul is away the wish stands and is tried with every heartbeat; the latest wish wins. Rejects with
   * ConsulError when Consul refuses it (a 4xx: the wish is dropped), or when the registration is closed first.
   * While in maintenance Consul keeps the first reason.
   */
  maintenance(enable: boolean, reason?: string): Promise<void>;
  /**
   * Resolves when Consul's health answers no longer list the instance, seen by a blocking query; call it after `close()`.
   * Goes on through Consul's errors; rejects only with the signal's reason. A token that may not read the service sees
   * an empty list, which counts as gone. With `orCritical` an instance that is listed as critical counts as gone too: in maintenance
   * nobody calls it.
   */
  gone(options?: { readonly orCritical?: boolean; readonly signal?: AbortSignal }): Promise<void>;
  /**
   * Stops the heartbeats and deregisters; nothing registers again afterwards, a registration in flight is waited for first.
   * Takes at most about 7 s where Consul does not answer, 2 s where it refuses, then gives up with a log line: the TTL and
   * `deregisterAfterMs` do the rest. Idempotent: the same promise, which never rejects.
   */
  close(): Promise<void>;
}
