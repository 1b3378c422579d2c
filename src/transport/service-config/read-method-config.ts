// The entries of `methodConfig`: for which methods they are, and what they say of them.
// https://github.com/grpc/grpc-proto/blob/master/grpc/service_config/service_config.proto

import type { ConfigObject } from "./config-object.ts";
import type { HedgingPolicy, MethodPolicy, RetryPolicy } from "./service-config.ts";

/** Policies by what `methodKey` makes of their names. */
export type MethodPolicies = ReadonlyMap<string, MethodPolicy>;

const fields = [
  "name",
  "waitForReady",
  "timeout",
  "maxRequestMessageBytes",
  "maxResponseMessageBytes",
  "retryPolicy",
  "hedgingPolicy",
];
const retryFields = [
  "maxAttempts",
  "initialBackoff",
  "maxBackoff",
  "backoffMultiplier",
  "retryableStatusCodes",
  "perAttemptRecvTimeout",
];
const hedgingFields = ["maxAttempts", "hedgingDelay", "nonFatalStatusCodes"];

/** gRFC A6, "Limits on Retries and Hedges": more counts as this many. */
const mostAttempts = 5;

/** Under what a policy is kept: a method's, with no method its service's, with neither that of all. */
export function methodKey(service: string, method: string): string {
  return service === "" ? "" : `${service}/${method}`;
}

/** Reads them all; empty where there are none. */
export function readMethodConfigs(config: ConfigObject): MethodPolicies {
  const policies = new Map<string, MethodPolicy>();
  const places = new Map<string, string>();
  for (const entry of config.objects("methodConfig", fields) ?? []) {
    const policy = readPolicy(entry);
    const names = entry.objects("name", ["service", "method"]) ?? [];
    if (names.length === 0) entry.warn("", 'is for no method, as it has no "name", and is ignored');
    for (const name of names) {
      const service = name.string("service") ?? "";
      const method = name.string("method") ?? "";
      if (service === "" && method !== "") {
        name.problem("", `must have a service beside its method: received "${method}" alone`);
      } else if (service.includes("/")) {
        name.problem("service", `must be the service's full name without slashes, like "hello.HelloService"`);
      }
      const key = methodKey(service, method);
      const place = places.get(key);
      if (place !== undefined) name.problem("", `must be there once: ${place} is the same`);
      places.set(key, name.path);
      policies.set(key, policy);
    }
  }
  return policies;
}

function readPolicy(entry: ConfigObject): MethodPolicy {
  if (entry.has("retryPolicy") && entry.has("hedgingPolicy")) {
    entry.problem("", "must not have both retryPolicy and hedgingPolicy");
  }
  return {
    waitForReady: entry.boolean("waitForReady"),
    timeoutMs: entry.durationMs("timeout", { aboveMin: true }),
    maxRequestBytes: entry.integer("maxRequestMessageBytes"),
    maxResponseBytes: entry.integer("maxResponseMessageBytes"),
    retry: readRetry(entry.object("retryPolicy", retryFields)),
    hedging: readHedging(entry.object("hedgingPolicy", hedgingFields)),
  };
}

/** What is missing has been noted: the policy is not used then. */
function readRetry(policy: ConfigObject | undefined): RetryPolicy | undefined {
  if (policy === undefined) return undefined;
  const required = { aboveMin: true, isRequired: true };
  const retryableCodes = policy.codes("retryableStatusCodes");
  if (retryableCodes === undefined && !policy.has("retryableStatusCodes")) {
    policy.problem("retryableStatusCodes", "must be a list of codes: received nothing");
  } else if (retryableCodes?.size === 0) {
    policy.problem("retryableStatusCodes", "must have at least one code: received none");
  }
  return {
    maxAttempts: readAttempts(policy),
    initialBackoffMs: policy.durationMs("initialBackoff", required) ?? 0,
    maxBackoffMs: policy.durationMs("maxBackoff", required) ?? 0,
    backoffMultiplier: policy.positive("backoffMultiplier") ?? 0,
    retryableCodes: retryableCodes ?? new Set(),
    perAttemptTimeoutMs: policy.durationMs("perAttemptRecvTimeout", { aboveMin: true }),
  };
}

function readHedging(policy: ConfigObject | undefined): HedgingPolicy | undefined {
  if (policy === undefined) return undefined;
  return {
    maxAttempts: readAttempts(policy),
    hedgingDelayMs: policy.durationMs("hedgingDelay") ?? 0,
    nonFatalCodes: policy.codes("nonFatalStatusCodes") ?? new Set(),
  };
}

function readAttempts(policy: ConfigObject): number {
  const attempts = policy.integer("maxAttempts", { min: 2, isRequired: true }) ?? 0;
  if (attempts > mostAttempts)
    policy.warn("maxAttempts", `counts as ${mostAttempts}, the most there are: it is ${attempts}`);
  return Math.min(attempts, mostAttempts);
}
