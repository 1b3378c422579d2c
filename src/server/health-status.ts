// What a server says of its health, by service name: one table that the gRPC health service and /healthz read.
// https://github.com/grpc/grpc/blob/master/doc/health-checking.md

import { Code, ConnectError } from "@connectrpc/connect";

/** What can be said of a service, in the words of grpc.health.v1. */
export type ServingStatus = "UNKNOWN" | "SERVING" | "NOT_SERVING";

/** The part of the health table that belongs to the user. */
export interface HealthReporter {
  /**
   * Sets the status of a service by its full name, known before or not; `""` is the server as a whole, which `/healthz` and
   * Consul's checks read. Once the server drains, everything is NOT_SERVING and this does nothing.
   */
  setStatus(service: string, status: ServingStatus): void;
  /** Status of a service; undefined where it is not known. */
  status(service: string): ServingStatus | undefined;
}

/** The whole table, as the server uses it. */
export interface HealthStatus extends HealthReporter {
  /** Every known service and its status. */
  all(): ReadonlyMap<string, ServingStatus>;
  /** Calls back after every change of this service's status, until the returned function is called. */
  watch(service: string, onChange: () => void): () => void;
  /** Everything is NOT_SERVING from now on. */
  drain(): void;
  /** Aborted by `end()`, with a ConnectError `unavailable`: whoever watches should stop, for the server leaves. */
  readonly ended: AbortSignal;
  /** Sends the watchers away. */
  end(): void;
}

/** Creates a table where the server as a whole is SERVING, and nothing else is known. */
export function createHealthStatus(): HealthStatus {
  const statuses = new Map<string, ServingStatus>([["", "SERVING"]]);
  const watchers = new Map<string, Set<() => void>>();
  const ended = new AbortController();
  let draining = false;

  const set = (service: string, status: ServingStatus): void => {
    if (statuses.get(service) === status) return;
    statuses.set(service, status);
    for (const onChange of [...(watchers.get(service) ?? [])]) onChange();
  };

  return {
    setStatus(service, status) {
      if (!draining) set(service, status);
    },
    status: (service) => statuses.get(service),
    all: () => statuses,
    watch(service, onChange) {
      const listeners = watchers.get(service) ?? new Set();
      watchers.set(service, listeners.add(onChange));
      return () => {
        listeners.delete(onChange);
        if (listeners.size === 0 && watchers.get(service) === listeners) watchers.delete(service);
      };
    },
    drain() {
      draining = true;
      for (const service of [...statuses.keys()]) set(service, "NOT_SERVING");
    },
    ended: ended.signal,
    end() {
      ended.abort(new ConnectError("the server is shutting down", Code.Unavailable));
    },
  };
}
