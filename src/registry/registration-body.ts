// Turns a resolved registration into what Consul's API takes: https://developer.hashicorp.com/consul/api-docs/agent/service
// Sends only fields that Consul 1.8 knows: it refuses a registration with any other.

import type { AgentServiceCheck, AgentServiceRegistration } from "../consul/agent.ts";
import { formatDuration } from "../core/duration.ts";
import type { ProbeTlsOptions } from "./check-options.ts";
import type { ResolvedCheck } from "./validate-check.ts";
import type { ResolvedRegistration } from "./validate-registration.ts";

/** The id of the instance's check: what Consul itself would choose for a service's only check. */
export function checkIdOf(serviceId: string): string {
  return `service:${serviceId}`;
}

/** Service and check in one body. The check starts critical: nobody calls the instance before it has passed once. */
export function registrationBody(registration: ResolvedRegistration): AgentServiceRegistration {
  const { id, name, tags, host, port, meta, weights, check, deregisterAfterMs } = registration;
  return {
    ID: id,
    Name: name,
    Tags: tags,
    Address: host,
    Port: port,
    Meta: meta,
    Weights: { Passing: weights.passing, Warning: weights.warning },
    Check: {
      CheckID: checkIdOf(id),
      Status: "critical",
      ...checkFields(check),
      ...(deregisterAfterMs > 0 && { DeregisterCriticalServiceAfter: formatDuration(deregisterAfterMs) }),
    },
  };
}

function checkFields(check: ResolvedCheck): AgentServiceCheck {
  if (check.type === "ttl") return { TTL: formatDuration(check.ttlMs) };
  const probe: AgentServiceCheck = {
    Interval: formatDuration(check.intervalMs),
    ...(check.timeoutMs !== undefined && { Timeout: formatDuration(check.timeoutMs) }),
  };
  switch (check.type) {
    case "grpc":
      return {
        ...probe,
        GRPC: check.target,
        ...(check.tls !== undefined && check.tls !== false && { GRPCUseTLS: true }),
        ...tlsFields(check.tls),
      };
    case "http":
      return {
        ...probe,
        HTTP: check.url,
        ...(check.method !== undefined && { Method: check.method }),
        ...(check.headers !== undefined && { Header: listValues(check.headers) }),
        ...tlsFields(check.tls),
      };
    case "tcp":
      return { ...probe, TCP: check.target };
  }
}

function tlsFields(tls: boolean | ProbeTlsOptions | undefined): AgentServiceCheck {
  if (typeof tls !== "object") return {};
  return {
    ...(tls.verify === false && { TLSSkipVerify: true }),
    ...(tls.serverName !== undefined && { TLSServerName: tls.serverName }),
  };
}

function listValues(headers: Readonly<Record<string, string>>): Record<string, readonly string[]> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value]]));
}
