// What decides which endpoints are called, of those that are connected: options, their defaults, and what a service config says beside them.

import type { NewPicker } from "../../balancer/picker.ts";
import { roundRobin } from "../../balancer/round-robin.ts";
import { describeValue } from "../../core/describe-value.ts";
import {
  type OutlierDetectionOptions,
  type ResolvedOutlierDetection,
  resolveOutlierDetection,
} from "../outlier/outlier-options.ts";
import type { OutlierDetectionConfig } from "../service-config/service-config.ts";
import type { HealthCheckOptions } from "./health-watch.ts";

/** Who is called, of those that are connected. */
export interface ReadinessOptions {
  /**
   * How endpoints are found that are connected and answer badly: no calls go there until a probe succeeds. `false`: they stay in use, whatever a service
   * config says. Default: after five failures in a row, where a PING is not answered, or where calls take much longer than elsewhere.
   */
  readonly outlierDetection?: OutlierDetectionOptions | false;
  /**
   * How long the share of calls of an endpoint grows, from a tenth of its turns to all of them, once it joins others that are in use or is back after
   * an ejection; in milliseconds, 0 for all of them at once. Default: 5000 after an ejection, and 0, as in Envoy, for those that join: the turns are
   * strict then.
   */
  readonly slowStartMs?: number;
  /**
   * Endpoints whose health is `warning` are called only while fewer than this share of all known endpoints, in percent, is connected and passing;
   * 0: only while none is, 100: as soon as one of all is not. Default 50. Resolvers list them where `passingOnly` is false.
   */
  readonly minPassingPercent?: number;
  /**
   * Time without a call after which connections are closed until the next call, in milliseconds, and up to a quarter more; Infinity: never. The endpoints
   * are followed all the same. Default 1800000 (30 min), as in gRPC.
   */
  readonly idleTimeoutMs?: number;
  /**
   * Asks each connection for the health of a service by `grpc.health.v1.Health/Watch` and calls it only while that is SERVING (gRFC A17); servers
   * without that service count as healthy. `true`: the whole server's; `false`: never, whatever a service config says. Default: what a
   * service config says, else no.
   */
  readonly healthCheck?: HealthCheckOptions | boolean;
}

/** The same, complete. */
export interface ResolvedReadiness {
  readonly outlierDetection: ResolvedOutlierDetection | undefined;
  readonly slowStartMs: { readonly joined: number; readonly returned: number };
  readonly minPassingPercent: number;
  readonly idleTimeoutMs: number;
  /** The service whose health connections are asked for, "" for the server itself; undefined: they are not asked. */
  readonly healthService: string | undefined;
}

/** What a service config says of it. */
export interface ReadinessConfig {
  readonly outlierDetection: OutlierDetectionConfig | undefined;
  readonly healthCheckService: string | undefined;
}

/** By whom calls are spread. */
interface BalancerChoice {
  readonly balancer?: NewPicker;
}

/** Puts every default in its place. Throws RangeError or TypeError for options outside their range. */
export function resolveReadiness(
  options: ReadinessOptions & BalancerChoice,
  config: ReadinessConfig | undefined,
): ResolvedReadiness {
  const { slowStartMs, minPassingPercent = 50, idleTimeoutMs = 1_800_000 } = options;
  check("slowStartMs", slowStartMs === undefined || slowStartMs >= 0, ">= 0", slowStartMs);
  const isPercent = minPassingPercent >= 0 && minPassingPercent <= 100;
  check("minPassingPercent", isPercent, "from 0 to 100", minPassingPercent);
  check("idleTimeoutMs", idleTimeoutMs > 0, "> 0", idleTimeoutMs);
  return {
    outlierDetection: outliersOf(options, config),
    slowStartMs: { joined: slowStartMs ?? 0, returned: slowStartMs ?? 5000 },
    minPassingPercent,
    idleTimeoutMs,
    healthService: healthServiceOf(options, config),
  };
}

/** A service config's fields stand before those given in code, whose are the ones that gRPC does not have. */
function outliersOf(
  { outlierDetection, balancer = roundRobin }: ReadinessOptions & BalancerChoice,
  config: ReadinessConfig | undefined,
): ResolvedOutlierDetection | undefined {
  // Checked first, as what is no object has no fields.
  const own = resolveOutlierDetection(outlierDetection);
  if (own === undefined) return undefined;
  return resolveOutlierDetection({
    // What else may send each endpoint calls of its own kind, which are as slow as they are.
    ...(balancer === roundRobin ? {} : { latency: false }),
    ...(outlierDetection === false ? {} : outlierDetection),
    ...config?.outlierDetection,
  });
}

function healthServiceOf({ healthCheck }: ReadinessOptions, config: ReadinessConfig | undefined): string | undefined {
  if (healthCheck === undefined) return config?.healthCheckService;
  if (healthCheck === false) return undefined;
  if (healthCheck === true) return "";
  if (typeof healthCheck === "object" && healthCheck !== null) {
    const { service = "" } = healthCheck;
    if (typeof service === "string") return service;
  }
  throw new TypeError(
    `Cannot create transport as "healthCheck" must be true, false or { service }: received ${describeValue(healthCheck)}`,
  );
}

function check(name: string, isGood: boolean, rule: string, value: unknown): void {
  if (isGood && (value === undefined || typeof value === "number")) return;
  throw new RangeError(`Cannot create transport as "${name}" must be ${rule}: received ${value}`);
}
