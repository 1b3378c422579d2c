// What a gRPC service config says, once it is read: which policy each method has, and what holds for the whole service. Types only;
// parse-service-config.ts makes them of JSON.

import type { DescMethod } from "@bufbuild/protobuf";
import type { Code } from "@connectrpc/connect";

/** When and how often a call that failed is made again: gRFC A6, "Retry Policy". Times in milliseconds. */
export interface RetryPolicy {
  /** Attempts in all, the first one counted: from 2 to 5. */
  readonly maxAttempts: number;
  /** Delay before the first retry, before jitter. */
  readonly initialBackoffMs: number;
  /** Longest delay, before jitter. */
  readonly maxBackoffMs: number;
  /** Growth from one delay to the next; > 0. */
  readonly backoffMultiplier: number;
  /** Errors that are tried again; at least one. */
  readonly retryableCodes: ReadonlySet<Code>;
  /** How long one attempt waits for the server's headers before it counts as failed with `deadline_exceeded`; undefined: as long as the call has. */
  readonly perAttemptTimeoutMs: number | undefined;
}

/** How a call is made several times at once: gRFC A6, "Hedging Policy". */
export interface HedgingPolicy {
  /** Attempts in all, the first one counted: from 2 to 5. */
  readonly maxAttempts: number;
  /** Time from one attempt to the next, in milliseconds; 0: all at once. */
  readonly hedgingDelayMs: number;
  /** Errors that do not end the call: the next attempt is made at once. May be empty. */
  readonly nonFatalCodes: ReadonlySet<Code>;
}

/** What a service config says of a method. Of `retry` and `hedging` at most one is there. */
export interface MethodPolicy {
  /** Whether calls wait while no endpoint is ready; undefined: as the transport has it. */
  readonly waitForReady: boolean | undefined;
  /** Longest time of a call in milliseconds, > 0: the caller's own holds where it is shorter. */
  readonly timeoutMs: number | undefined;
  /** Largest message to send, in encoded bytes; 0 lets none but empty ones pass. */
  readonly maxRequestBytes: number | undefined;
  /** Largest message to take, in encoded bytes. */
  readonly maxResponseBytes: number | undefined;
  readonly retry: RetryPolicy | undefined;
  readonly hedging: HedgingPolicy | undefined;
}

/** The bounds of retries and hedges: gRFC A6, "Throttling". */
export interface RetryThrottling {
  /** Tokens at first and at most: from 1 to 1000. Retries need more than half of them. */
  readonly maxTokens: number;
  /** What a call that succeeds gives back; > 0, in steps of 0.001. */
  readonly tokenRatio: number;
}

/** What `outlier_detection_experimental` says, with gRFC A50's defaults filled in. Times in milliseconds, shares in percent. */
export interface OutlierDetectionConfig {
  readonly intervalMs: number;
  readonly baseEjectionMs: number;
  readonly maxEjectionMs: number;
  readonly maxEjectionPercent: number;
  /** Undefined: not by success rate. */
  readonly successRate:
    | {
        /** How many standard deviations below the mean; gRPC's number over 1000. */
        readonly stdevFactor: number;
        readonly enforcementPercent: number;
        readonly minimumHosts: number;
        readonly requestVolume: number;
      }
    | undefined;
  /** Undefined: not by failure percentage. */
  readonly failurePercentage:
    | {
        readonly thresholdPercent: number;
        readonly enforcementPercent: number;
        readonly minimumHosts: number;
        readonly requestVolume: number;
      }
    | undefined;
}

/** A service config that was read without error. Immutable. */
export interface ServiceConfig {
  /** What it says of a method: the entry of the method, else of its service, else of all. Entries are not merged. */
  policyOf(method: DescMethod): MethodPolicy | undefined;
  readonly retryThrottling: RetryThrottling | undefined;
  /** The first policy of `loadBalancingConfig` that lictor knows. */
  readonly loadBalancing: "round_robin" | undefined;
  readonly outlierDetection: OutlierDetectionConfig | undefined;
  /** The service whose health clients watch (gRFC A17); "" is the whole server. Undefined: none is watched. */
  readonly healthCheckService: string | undefined;
  /** What is not wrong and yet not as meant: unknown fields, values beyond a maximum. */
  readonly warnings: readonly string[];
}

/** Who is told of a service config. Calls come in order, never after unsubscribing. */
export interface ServiceConfigListener {
  /** The JSON as it is now, read or still as text; undefined: there is none. May repeat what was told before. */
  onConfig(json: unknown): void;
  /** The source could not be read; what was told last stands. It goes on by itself. */
  onError(error: unknown): void;
}

/** Where a service config comes from that may change while the transport is in use. Does nothing while nobody listens. */
export interface ServiceConfigSource {
  /** What is read where, for messages: `key "hello/config" of Consul at http://127.0.0.1:8500`. */
  readonly description: string;
  /** Starts listening; returns a function that stops it. Calls nobody before it returns, unless what it tells is known already. */
  subscribe(listener: ServiceConfigListener): () => void;
}
