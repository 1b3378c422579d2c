// The agent's own services and checks: https://developer.hashicorp.com/consul/api-docs/agent/service and .../agent/check
// JSON bodies keep Consul's field names, so that its documentation is theirs too. Types only; agent-api.ts implements them.

import type { RequestOptions } from "./query.ts";

/** Status of a check. */
export type CheckStatus = "passing" | "warning" | "critical";

/**
 * A check inside a service registration. Durations as Consul writes them (`20s`). The fields are Consul's own:
 * https://developer.hashicorp.com/consul/api-docs/agent/check#register-check
 */
export interface AgentServiceCheck {
  readonly CheckID?: string;
  readonly Name?: string;
  readonly Notes?: string;
  readonly Status?: CheckStatus;
  readonly TTL?: string;
  readonly Interval?: string;
  readonly Timeout?: string;
  /** `host:port` or `host:port/service` for a check by grpc.health.v1. */
  readonly GRPC?: string;
  readonly GRPCUseTLS?: boolean;
  /** URL that must answer 2xx. */
  readonly HTTP?: string;
  readonly Method?: string;
  readonly Header?: Readonly<Record<string, readonly string[]>>;
  /** `host:port` that must accept a connection. */
  readonly TCP?: string;
  readonly TLSSkipVerify?: boolean;
  readonly TLSServerName?: string;
  /** Consul removes the service when the check was critical this long. Floor 1 minute. */
  readonly DeregisterCriticalServiceAfter?: string;
}

/**
 * Body of `PUT /v1/agent/service/register`. The fields are Consul's own:
 * https://developer.hashicorp.com/consul/api-docs/agent/service#register-service
 */
export interface AgentServiceRegistration {
  readonly ID?: string;
  readonly Name: string;
  readonly Tags?: readonly string[];
  readonly Address?: string;
  readonly Port?: number;
  readonly Meta?: Readonly<Record<string, string>>;
  readonly Weights?: { readonly Passing: number; readonly Warning: number };
  readonly Check?: AgentServiceCheck;
  readonly Checks?: readonly AgentServiceCheck[];
  readonly EnableTagOverride?: boolean;
}

/**
 * Body of `PUT /v1/agent/check/register`. The fields are Consul's own:
 * https://developer.hashicorp.com/consul/api-docs/agent/check#register-check
 */
export interface AgentCheckRegistration extends Omit<AgentServiceCheck, "CheckID"> {
  readonly ID?: string;
  readonly Name: string;
  readonly ServiceID?: string;
}

/** A service as the agent lists it. Other fields pass through unread. */
export interface AgentService {
  readonly ID: string;
  readonly Service: string;
  readonly Tags: readonly string[] | null;
  readonly Meta: Readonly<Record<string, string>> | null;
  readonly Port?: number;
  readonly Address: string;
  readonly Weights?: { readonly Passing: number; readonly Warning: number };
  readonly Datacenter?: string;
}

/** A check as the agent and the catalog list it. Other fields pass through unread. */
export interface HealthCheck {
  readonly Node: string;
  readonly CheckID: string;
  readonly Name: string;
  readonly Status: CheckStatus;
  readonly Notes: string;
  readonly Output: string;
  readonly ServiceID: string;
  readonly ServiceName: string;
  readonly Type?: string;
}

/**
 * The agent's API. Every method rejects with ConsulError, with the reason of an aborted signal, or with TypeError on a name or id
 * that cannot be put into a path (empty, `..`). Bodies are sent as they are: Consul validates little of them.
 */
export interface ConsulAgent {
  /** Registers a service with its checks, or replaces one of the same ID. Takes effect before it resolves: a read straight after sees it. */
  registerService(
    registration: AgentServiceRegistration,
    options?: RequestOptions & { readonly replaceExistingChecks?: boolean },
  ): Promise<void>;
  /** Removes a service and its checks. An unknown ID is no error (old agents answer 200, newer ones 404). */
  deregisterService(serviceId: string, options?: RequestOptions): Promise<void>;
  /** Services of this agent by ID. */
  services(options?: RequestOptions & { readonly filter?: string }): Promise<Readonly<Record<string, AgentService>>>;
  /** One service of this agent, or undefined where the agent does not know it. */
  service(serviceId: string, options?: RequestOptions): Promise<AgentService | undefined>;
  /** Checks of this agent by CheckID. */
  checks(options?: RequestOptions & { readonly filter?: string }): Promise<Readonly<Record<string, HealthCheck>>>;
  /** The agent's own configuration and member data, as Consul sends it. */
  self(options?: RequestOptions): Promise<Readonly<Record<string, unknown>>>;
  /** Registers a check of its own, for a service or for the node. */
  registerCheck(registration: AgentCheckRegistration, options?: RequestOptions): Promise<void>;
  /** Removes a check. An unknown ID is no error. */
  deregisterCheck(checkId: string, options?: RequestOptions): Promise<void>;
  /** Heartbeat of a TTL check; the note becomes its output. `isUnknownCheck(error)` tells whether the agent has forgotten the check. */
  passCheck(checkId: string, options?: RequestOptions & { readonly note?: string }): Promise<void>;
  /** As `passCheck`, with status `warning`. */
  warnCheck(checkId: string, options?: RequestOptions & { readonly note?: string }): Promise<void>;
  /** As `passCheck`, with status `critical`. */
  failCheck(checkId: string, options?: RequestOptions & { readonly note?: string }): Promise<void>;
  /** Sets status and output (cut by Consul at 4096 bytes). */
  updateCheck(
    checkId: string,
    update: { readonly status: CheckStatus; readonly output?: string },
    options?: RequestOptions,
  ): Promise<void>;
  /** Puts one service in or out of maintenance, with a reason that Consul shows. */
  serviceMaintenance(
    serviceId: string,
    enable: boolean,
    options?: RequestOptions & { readonly reason?: string },
  ): Promise<void>;
}
