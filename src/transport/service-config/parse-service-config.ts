// Reads a gRPC service config: checks all of it, and says all that is wrong. Applies nothing.
// https://github.com/grpc/grpc/blob/master/doc/service_config.md

import type { DescMethod } from "@bufbuild/protobuf";
import { isObject } from "../../core/json-shape.ts";
import { ConfigObject, type Findings, shown } from "./config-object.ts";
import { readLoadBalancing } from "./read-load-balancing.ts";
import { type MethodPolicies, methodKey, readMethodConfigs } from "./read-method-config.ts";
import type { MethodPolicy, RetryThrottling, ServiceConfig } from "./service-config.ts";
import { ServiceConfigError } from "./service-config-error.ts";

/** gRFC A6, "Throttling Configuration". */
const mostTokens = 1000;

const fields = ["loadBalancingConfig", "loadBalancingPolicy", "methodConfig", "retryThrottling", "healthCheckConfig"];

/**
 * Reads a service config: an object as JSON has it, or its text. Fields that are not known are no error, as in protobuf's JSON, but
 * `warnings` names them. Throws ServiceConfigError with everything that is wrong: nothing of such a config holds.
 */
export function parseServiceConfig(json: unknown): ServiceConfig {
  const value = typeof json === "string" ? parseText(json) : json;
  if (!isObject(value)) {
    throw new ServiceConfigError([{ path: "", text: `must be a JSON object: received ${shown(value)}` }]);
  }
  const findings: Findings = { problems: [], warnings: [] };
  const config = new ConfigObject(value, "", fields, findings);
  const policies = readMethodConfigs(config);
  const { policy, outlierDetection } = readLoadBalancing(config);
  const retryThrottling = readThrottling(config.object("retryThrottling", ["maxTokens", "tokenRatio"]));
  const healthCheckService = config.object("healthCheckConfig", ["serviceName"])?.string("serviceName");
  if (findings.problems.length > 0) throw new ServiceConfigError(findings.problems);
  return {
    policyOf: policyLookup(policies),
    retryThrottling,
    loadBalancing: policy,
    outlierDetection,
    healthCheckService,
    warnings: findings.warnings,
  };
}

function parseText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    throw new ServiceConfigError([{ path: "", text: `must be JSON: ${said}` }], error);
  }
}

function readThrottling(throttling: ConfigObject | undefined): RetryThrottling | undefined {
  if (throttling === undefined) return undefined;
  const maxTokens = throttling.integer("maxTokens", { min: 1, max: mostTokens, isRequired: true }) ?? 0;
  const given = throttling.positive("tokenRatio");
  // gRFC A6: "Up to 3 decimal places are supported." A success cannot give back more tokens than there are at most.
  const tokenRatio = Math.floor(Math.min(given ?? 0, mostTokens) * 1000 + 1e-6) / 1000;
  if (given !== undefined && tokenRatio === 0) {
    throttling.problem("tokenRatio", `must be at least 0.001: received ${given}`);
  }
  return { maxTokens, tokenRatio };
}

/** Asked with every call, and mostly of the method of the call before. */
function policyLookup(policies: MethodPolicies): (method: DescMethod) => MethodPolicy | undefined {
  const found = new WeakMap<DescMethod, MethodPolicy | null>();
  let lastMethod: DescMethod | undefined;
  let lastPolicy: MethodPolicy | undefined;
  return (method) => {
    if (method === lastMethod) return lastPolicy;
    let policy = found.get(method);
    if (policy === undefined) {
      const { typeName } = method.parent;
      const keys = [methodKey(typeName, method.name), methodKey(typeName, ""), ""];
      policy = keys.map((key) => policies.get(key)).find((found) => found !== undefined) ?? null;
      found.set(method, policy);
    }
    lastMethod = method;
    lastPolicy = policy ?? undefined;
    return lastPolicy;
  };
}
