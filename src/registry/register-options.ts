// What registerService can be told of an instance and of how it is kept. Types only.

import type { ConsulClient, ConsulClientOptions } from "../consul/consul-client.ts";
import type { Clock } from "../core/clock.ts";
import type { Logger } from "../core/logger.ts";
import type { Random } from "../core/random.ts";
import type { CheckOptions } from "./check-options.ts";

export type { CheckOptions } from "./check-options.ts";

/** What a health function found. `warn` instances are listed by clients that ask for more than passing ones. */
export interface HealthReport {
  /** Status of the check: passing, warning or critical. */
  readonly status: "pass" | "warn" | "fail";
  /** Shown by Consul as the check's output, cut by it at 4096 bytes. */
  readonly note?: string;
}

/** Who is registered where, and how it is kept. */
export interface RegisterOptions {
  /** The agent: a client, its options, or its address. Of several agents one has the instance at a time: see `failoverAfterMs`. */
  readonly consul: ConsulClient | ConsulClientOptions | string;
  /**
   * Where `consul` names several agents: after how many milliseconds in which its agent has accepted neither registration nor heartbeat the
   * instance is registered with the next one, before its TTL is over if this is less; a positive integer. It stays there until that one
   * fails. From the agent that was left it is taken out as soon as that can be reached and the catalog lists it at the new one. An agent that
   * never had it is left sooner: when it fails, or after 3 s. Default: two heartbeat intervals.
   */
  readonly failoverAfterMs?: number;
  /**
   * Service name: not empty, no control characters, no `/`, no space at either end, not `.` or `..`. Consul compares names
   * without regard to case; its DNS interface lists only names of letters, digits and hyphens, others are logged once.
   */
  readonly name: string;
  /**
   * Address clients connect to: a host name or an IP literal, not 0.0.0.0 or ::. An IPv6 literal is registered as written:
   * bare (`::1`) as Consul documents it and its DNS needs it, or in brackets (`[::1]`) for readers that only join address
   * and port with a colon, as grpc-consul-resolver does. lictor's own clients read both.
   */
  readonly host: string;
  /** Port clients connect to, 1 to 65535. */
  readonly port: number;
  /** Unique on the agent; the same characters as `name`. Default `<host>:<port>:<name>`, an IPv6 host in brackets. */
  readonly id?: string;
  /** Default `[name]`. */
  readonly tags?: readonly string[];
  /** At most 64 pairs; keys of 1 to 128 characters A-Z a-z 0-9 _ -, not beginning with `consul-`; values of at most 512 bytes. */
  readonly meta?: Readonly<Record<string, string>>;
  /** Relative shares of traffic while passing (1 to 65535) and warning (0 to 65535). Default 1 and 1. */
  readonly weights?: { readonly passing: number; readonly warning: number };
  /** Default `{ type: "ttl" }`. */
  readonly check?: CheckOptions;
  /**
   * Consul removes the instance when its check was critical for this many milliseconds; a positive integer, raised by Consul
   * to 1 minute and looked at every 30 s. 0 or false: never. Default 600000.
   */
  readonly deregisterAfterMs?: number | false;
  /**
   * Asked before every heartbeat; without it every heartbeat passes. A throw, a rejection or no answer within 90 % of the
   * heartbeat interval is a `fail` with the reason as its note; while an answer is awaited it is not asked again.
   * TTL checks only: with others the agent finds out by itself.
   */
  readonly health?: () => HealthReport | Promise<HealthReport>;
  /** Told of changes of state. Silent by default. */
  readonly logger?: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
  /** Aborting it is `close()`. */
  readonly signal?: AbortSignal;
}
