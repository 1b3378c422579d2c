// Health answers for tests, written short.

import type { CheckStatus } from "../../src/consul/agent.ts";
import type { HealthService, ServiceEntry } from "../../src/consul/health.ts";

/** What differs from one passing instance on node "n1" at 10.0.0.1. */
export interface EntryOptions {
  readonly id?: string;
  readonly node?: string;
  readonly nodeAddress?: string;
  readonly datacenter?: string;
  /** Statuses of its checks. Default one passing. */
  readonly checks?: readonly CheckStatus[];
  readonly service?: Partial<HealthService>;
}

/** One entry of a health answer. */
export function serviceEntry(options: EntryOptions = {}): ServiceEntry {
  const { id = "a", node = "n1", nodeAddress = "10.9.9.9", datacenter = "dc1", checks = ["passing"] } = options;
  return {
    Node: { Node: node, Address: nodeAddress, Datacenter: datacenter, Meta: null },
    Service: {
      ID: id,
      Service: "Hello",
      Tags: ["Hello"],
      Meta: { version: "1" },
      Address: "10.0.0.1",
      Port: 10000,
      Weights: { Passing: 1, Warning: 1 },
      ...options.service,
    },
    Checks: checks.map((status, index) => ({
      Node: node,
      CheckID: `check-${index}`,
      Name: "check",
      Status: status,
      Notes: "",
      Output: "",
      ServiceID: id,
      ServiceName: "Hello",
    })),
  };
}
