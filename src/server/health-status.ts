// What a server says of its health, by service name: one table that the gRPC health service and /healthz read.
// https://github.com/grpc/grpc/blob/master/doc/health-checking.md

/** What can be said of a service, in the words of grpc.health.v1. */
export type ServingStatus = "UNKNOWN" | "SERVING" | "NOT_SERVING";

/** The part of the health table that belongs to the user. */
export interface HealthReporter {
  /**
   * Sets the status of a service by its full name, known before or not; `""` is the server as a whole, which `/healthz` and
   * Consul's checks read. In maintenance everything is NOT_SERVING until it ends; once the server drains, for good, and this does nothing.
   */
  setStatus(service: string, status: ServingStatus): void;
  /** Status of a service; undefined where it is not known. */
  status(service: string): ServingStatus | undefined;
}

/** The whole table, as the server uses it. */
export interface HealthStatus extends HealthReporter {
  /** Every known service and its status. */
  all(): ReadonlyMap<string, ServingStatus>;
  /** What the user said of a service, whatever the server itself says of it. */
  reported(service: string): ServingStatus | undefined;
  /** Calls back after every change of this service's status, until the returned function is called. */
  watch(service: string, onChange: () => void): () => void;
  /** Everything is NOT_SERVING until `resume()`. */
  pause(): void;
  resume(): void;
  /** Everything is NOT_SERVING from now on. */
  drain(): void;
}

/** Creates a table where the server as a whole is SERVING, and nothing else is known. */
export function createHealthStatus(): HealthStatus {
  const reported = new Map<string, ServingStatus>([["", "SERVING"]]);
  const watchers = new Map<string, Set<() => void>>();
  let isPaused = false;
  let isDraining = false;

  const said = (status: ServingStatus | undefined): ServingStatus | undefined =>
    status !== undefined && (isPaused || isDraining) ? "NOT_SERVING" : status;
  const statusOf = (service: string): ServingStatus | undefined => said(reported.get(service));

  const tell = (service: string): void => {
    for (const onChange of [...(watchers.get(service) ?? [])]) onChange();
  };
  const change = (apply: () => void): void => {
    const before = new Map([...reported.keys()].map((service) => [service, statusOf(service)]));
    apply();
    for (const [service, status] of before) if (statusOf(service) !== status) tell(service);
  };

  return {
    setStatus(service, status) {
      if (isDraining) return;
      const before = statusOf(service);
      reported.set(service, status);
      if (statusOf(service) !== before) tell(service);
    },
    status: statusOf,
    all: () => new Map([...reported].map(([service, status]) => [service, said(status) ?? status])),
    reported: (service) => reported.get(service),
    watch(service, onChange) {
      const listeners = watchers.get(service) ?? new Set();
      watchers.set(service, listeners.add(onChange));
      return () => {
        listeners.delete(onChange);
        if (listeners.size === 0 && watchers.get(service) === listeners) watchers.delete(service);
      };
    },
    pause() {
      change(() => {
        isPaused = true;
      });
    },
    resume() {
      change(() => {
        isPaused = false;
      });
    },
    drain() {
      change(() => {
        isDraining = true;
      });
    },
  };
}
