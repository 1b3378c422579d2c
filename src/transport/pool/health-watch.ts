// A client's side of health checking: asks each connection for the health of the service, and goes on asking. gRFC A17.
// https://github.com/grpc/proposal/blob/master/A17-client-side-health-checking.md

import { Code, ConnectError } from "@connectrpc/connect";
import type { HealthCheckResponse } from "../../../gen/grpc/health/v1/health_pb.ts";
import { createBackoff } from "../../core/backoff.ts";
import type { Clock } from "../../core/clock.ts";
import type { Logger } from "../../core/logger.ts";
import type { Random } from "../../core/random.ts";
import type { Connection } from "../connector.ts";

/** What is known of a connection's server. `unknown`: it has not said yet, or is asked again. `isUnwatched`: it cannot say, and is not asked any more. */
export type Health =
  | { readonly type: "unknown" }
  | { readonly type: "healthy"; readonly isUnwatched: boolean }
  | { readonly type: "unhealthy"; readonly reason: unknown };

/** Watches a connection that is ready; tells of every change, and returns a function that stops it. */
export type WatchHealth = (connection: Connection, onHealth: (health: Health) => void) => () => void;

/** Which service's health is watched. */
export interface HealthCheckOptions {
  /** Its full name, as `hello.v1.HelloService`; "" is the whole server. Default "". */
  readonly service?: string;
}

/** What a watch needs. */
export interface HealthWatchParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/**
 * Creates a watch for the health of `service`. A server that does not implement the health service counts as healthy, as does one that
 * no longer does; a watch that breaks otherwise makes the connection unhealthy until one is answered, after a backoff (1 s, x 1.6, up to 2 min).
 */
export function createHealthWatch(service: string, parts: HealthWatchParts): WatchHealth {
  return (connection, onHealth) => {
    const watch = new HealthWatch(service, parts, connection, onHealth);
    void watch.run();
    return () => watch.stop();
  };
}

class HealthWatch {
  readonly #service: string;
  readonly #parts: HealthWatchParts;
  readonly #connection: Connection;
  readonly #onHealth: (health: Health) => void;
  readonly #stopped = new AbortController();
  #cancelRetry: (() => void) | undefined;

  constructor(service: string, parts: HealthWatchParts, connection: Connection, onHealth: (health: Health) => void) {
    this.#service = service;
    this.#parts = parts;
    this.#connection = connection;
    this.#onHealth = onHealth;
  }

  stop(): void {
    this.#cancelRetry?.();
    this.#stopped.abort();
  }

  async run(): Promise<void> {
    const backoff = createBackoff({ random: this.#parts.random });
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      this.#onHealth({ type: "unknown" });
      try {
        for await (const { status } of this.#watch()) {
          backoff.reset();
          if (signal.aborted) return;
          this.#onHealth(this.#read(status));
        }
        this.#tell(new Error("the server ended the watch of its health"));
      } catch (error) {
        if (signal.aborted) return;
        if (ConnectError.from(error).code === Code.Unimplemented) {
          this.#parts.logger.warn("the server has no health service: it counts as healthy", {
            endpoint: this.#connection.endpoint.url,
          });
          this.#onHealth({ type: "healthy", isUnwatched: true });
          return;
        }
        this.#tell(error);
      }
      await this.#pause(backoff.next());
    }
  }

  async *#watch(): AsyncIterable<HealthCheckResponse> {
    const { signal } = this.#stopped;
    const service = this.#service;
    async function* request() {
      yield { service };
    }
    // Loaded by those who watch, and by nobody else.
    const { Health } = await import("../../../gen/grpc/health/v1/health_pb.ts");
    const { transport } = this.#connection;
    const response = await transport.stream(Health.method.watch, signal, undefined, undefined, request());
    yield* response.message;
  }

  #read(status: number): Health {
    // SERVING of grpc.health.v1.HealthCheckResponse.ServingStatus.
    if (status === 1) return { type: "healthy", isUnwatched: false };
    const name = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"][status] ?? status;
    const what = this.#service === "" ? "itself" : this.#service;
    const reason = new Error(`${this.#connection.endpoint.url} says of ${what}: ${name}`);
    return { type: "unhealthy", reason };
  }

  #tell(reason: unknown): void {
    if (!this.#stopped.signal.aborted) this.#onHealth({ type: "unhealthy", reason });
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const { signal } = this.#stopped;
      const end = () => {
        this.#cancelRetry?.();
        signal.removeEventListener("abort", end);
        resolve();
      };
      if (signal.aborted) {
        resolve();
        return;
      }
      signal.addEventListener("abort", end);
      this.#cancelRetry = this.#parts.clock.schedule(delayMs, end);
    });
  }
}
