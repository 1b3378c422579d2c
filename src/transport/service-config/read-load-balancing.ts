// `loadBalancingConfig`: the first policy of the list that lictor knows. https://github.com/grpc/grpc/blob/master/doc/service_config.md
// Outlier detection is a policy around another: gRFC A50.

import { type ConfigObject, shown } from "./config-object.ts";
import type { OutlierDetectionConfig } from "./service-config.ts";

/** What it says. */
export interface LoadBalancingChoice {
  readonly policy: "round_robin" | undefined;
  readonly outlierDetection: OutlierDetectionConfig | undefined;
}

const outlierDetection = "outlier_detection_experimental";
const roundRobin = "round_robin";
const outlierFields = [
  "interval",
  "baseEjectionTime",
  "maxEjectionTime",
  "maxEjectionPercent",
  "successRateEjection",
  "failurePercentageEjection",
  "childPolicy",
];
const none: LoadBalancingChoice = { policy: undefined, outlierDetection: undefined };

/** Reads it, or the older `loadBalancingPolicy` where it is not there. */
export function readLoadBalancing(config: ConfigObject): LoadBalancingChoice {
  const policies = config.objects("loadBalancingConfig", undefined) ?? [];
  if (policies.length > 0) return readPolicies(config, "loadBalancingConfig", policies, [roundRobin, outlierDetection]);
  const name = config.has("loadBalancingConfig") ? undefined : config.string("loadBalancingPolicy");
  if (name === undefined) return none;
  if (name.toLowerCase() === roundRobin) return { ...none, policy: roundRobin };
  config.problem("loadBalancingPolicy", `must be "${roundRobin}": received ${shown(name)}`);
  return none;
}

function readPolicies(
  parent: ConfigObject,
  name: string,
  policies: readonly ConfigObject[],
  known: readonly string[],
): LoadBalancingChoice {
  const unknown: string[] = [];
  for (const entry of policies) {
    const names = entry.names();
    const [policy] = names;
    if (policy === undefined || names.length > 1) {
      entry.problem("", `must have the name of one policy as its only field: received ${names.length}`);
      return none;
    }
    if (!known.includes(policy)) {
      unknown.push(shown(policy));
      continue;
    }
    if (policy === outlierDetection) return readOutlierDetection(entry);
    entry.object(roundRobin, []);
    return { ...none, policy: roundRobin };
  }
  parent.problem(name, `must have a policy that lictor knows (${known.join(", ")}): received ${unknown.join(", ")}`);
  return none;
}

function readOutlierDetection(entry: ConfigObject): LoadBalancingChoice {
  const config = entry.object(outlierDetection, outlierFields);
  if (config === undefined) return none;
  const children = config.objects("childPolicy", undefined) ?? [];
  if (children.length === 0 && !config.has("childPolicy")) {
    config.problem("childPolicy", "must be a list of policies: received nothing");
  }
  const child = children.length > 0 ? readPolicies(config, "childPolicy", children, [roundRobin]) : none;
  const baseEjectionMs = config.durationMs("baseEjectionTime") ?? 30_000;
  return {
    policy: child.policy,
    outlierDetection: {
      intervalMs: config.durationMs("interval", { aboveMin: true }) ?? 10_000,
      baseEjectionMs,
      maxEjectionMs: config.durationMs("maxEjectionTime") ?? Math.max(300_000, baseEjectionMs),
      maxEjectionPercent: readPercent(config, "maxEjectionPercent") ?? 10,
      successRate: readSuccessRate(config),
      failurePercentage: readFailurePercentage(config),
    },
  };
}

function readSuccessRate(config: ConfigObject): OutlierDetectionConfig["successRate"] {
  const fields = ["stdevFactor", "enforcementPercentage", "minimumHosts", "requestVolume"];
  const ejection = config.object("successRateEjection", fields);
  if (ejection === undefined) return undefined;
  return {
    stdevFactor: (ejection.integer("stdevFactor") ?? 1900) / 1000,
    enforcementPercent: readPercent(ejection, "enforcementPercentage") ?? 100,
    minimumHosts: ejection.integer("minimumHosts") ?? 5,
    requestVolume: ejection.integer("requestVolume") ?? 100,
  };
}

function readFailurePercentage(config: ConfigObject): OutlierDetectionConfig["failurePercentage"] {
  const fields = ["threshold", "enforcementPercentage", "minimumHosts", "requestVolume"];
  const ejection = config.object("failurePercentageEjection", fields);
  if (ejection === undefined) return undefined;
  return {
    thresholdPercent: readPercent(ejection, "threshold") ?? 85,
    enforcementPercent: readPercent(ejection, "enforcementPercentage") ?? 100,
    minimumHosts: ejection.integer("minimumHosts") ?? 5,
    requestVolume: ejection.integer("requestVolume") ?? 50,
  };
}

function readPercent(config: ConfigObject, name: string): number | undefined {
  return config.integer(name, { max: 100 });
}
