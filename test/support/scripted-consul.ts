// A Consul client with an agent in memory, for tests on the manual clock: every answer comes within one turn of the event loop.
// It knows the few calls that registration and resolving make; it is no model of Consul (the embedded and the real agent are).

import type { AgentServiceRegistration, CheckStatus, ConsulAgent } from "../../src/consul/agent.ts";
import type { ConsulClient } from "../../src/consul/consul-client.ts";
import { ConsulError } from "../../src/consul/consul-error.ts";
import type { ServiceEntry } from "../../src/consul/health.ts";
import type { QueryResult } from "../../src/consul/query.ts";

/** One call that reached the agent. */
export interface ScriptedCall {
  readonly action: "register" | "deregister" | "update" | "maintenance" | "service" | "health";
  readonly detail: unknown;
}

/** The client, and the strings that move its agent. */
export interface ScriptedConsul {
  readonly client: ConsulClient;
  /** Every call that reached the agent, in order. */
  readonly calls: ScriptedCall[];
  readonly services: Map<string, AgentServiceRegistration & { status: CheckStatus; maintenance?: string }>;
  /** What every call fails with, while set. Calls that fail are not in `calls`. */
  failure: unknown;
  /** Asked before a call is answered; a promise delays the answer. */
  gate: (call: ScriptedCall) => Promise<void> | undefined;
  /** Number of calls of one kind. */
  count(action: ScriptedCall["action"]): number;
  /** What the health of any service is, from now on: wakes blocking reads. */
  setHealth(entries: readonly ServiceEntry[], extra?: { filteredByAcls?: boolean }): void;
  /** Fails the blocking reads under way. */
  failHealth(error: unknown): void;
  /** Blocking reads that wait now. */
  readonly waiting: number;
}

/** An error as Consul's own client would throw it. */
export function consulError(status: number, text: string): ConsulError {
  return new ConsulError(`answered ${status}: ${text}`, {
    code: "http",
    method: "PUT",
    path: "/v1/test",
    address: "http://scripted",
    status,
    text,
  });
}

/** No answer from Consul. */
export function networkError(): ConsulError {
  return new ConsulError("no answer", { code: "network", method: "PUT", path: "/v1/test", address: "http://scripted" });
}

let created = 0;

/** Creates an agent in memory, and its client. */
export function createScriptedConsul(identity: string = `scripted-${++created}`): ScriptedConsul {
  let index = 1;
  let entries: readonly ServiceEntry[] = [];
  let filteredByAcls = false;
  const waiting = new Set<{ wake(): void; fail(error: unknown): void }>();

  const scripted: ScriptedConsul = {
    calls: [],
    services: new Map(),
    failure: undefined,
    gate: () => undefined,
    count: (action) => scripted.calls.filter((call) => call.action === action).length,
    setHealth(now, extra = {}) {
      entries = now;
      filteredByAcls = extra.filteredByAcls ?? false;
      index++;
      for (const read of [...waiting]) read.wake();
    },
    failHealth(error) {
      for (const read of [...waiting]) read.fail(error);
    },
    get waiting() {
      return waiting.size;
    },
    client: undefined as never,
  };

  const reach = async (call: ScriptedCall, signal: AbortSignal | undefined): Promise<void> => {
    signal?.throwIfAborted();
    if (scripted.failure !== undefined) throw scripted.failure;
    scripted.calls.push(call);
    const gate = scripted.gate(call);
    if (gate === undefined) return;
    await Promise.race([
      gate,
      new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason), { once: true })),
    ]);
  };

  const agent: Partial<ConsulAgent> = {
    async registerService(registration, options) {
      await reach({ action: "register", detail: registration }, options?.signal);
      const id = registration.ID ?? registration.Name;
      const known = scripted.services.get(id);
      scripted.services.set(id, { ...registration, status: known?.status ?? registration.Check?.Status ?? "critical" });
    },
    async deregisterService(id, options) {
      await reach({ action: "deregister", detail: id }, options?.signal);
      scripted.services.delete(id);
    },
    async updateCheck(checkId, update, options) {
      const call = { action: "update", detail: { checkId, ...update } } as const;
      await reach(call, options?.signal);
      const service = scripted.services.get(checkId.replace(/^service:/, ""));
      if (service === undefined) throw consulError(500, `CheckID "${checkId}" does not have associated TTL`);
      service.status = update.status;
    },
    async serviceMaintenance(id, enable, options) {
      await reach({ action: "maintenance", detail: { enable, reason: options?.reason } }, options?.signal);
      const service = scripted.services.get(id);
      if (service === undefined) throw consulError(404, `No service registered with ID "${id}"`);
      if (enable) service.maintenance = options?.reason ?? "";
      else delete service.maintenance;
    },
    async service(id, options) {
      await reach({ action: "service", detail: id }, options?.signal);
      const service = scripted.services.get(id);
      if (service === undefined) return undefined;
      return { ID: id, Service: service.Name, Tags: null, Meta: null, Address: service.Address ?? "" };
    },
    self: () => Promise.resolve({ Config: { NodeName: "node-1" } }),
  };

  const answer = (): QueryResult<readonly ServiceEntry[]> => ({
    data: structuredClone(entries),
    index: String(index),
    knownLeader: true,
    lastContactMs: 0,
    filteredByAcls,
  });

  const health: Partial<ConsulClient["health"]> = {
    async service(name, options = {}) {
      await reach({ action: "health", detail: { name, ...options } }, options.signal);
      if (options.index === undefined || options.index === "0" || Number(options.index) < index) return answer();
      await new Promise<void>((resolve, reject) => {
        const finish = (settle: () => void): void => {
          waiting.delete(read);
          settle();
        };
        const read = { wake: () => finish(resolve), fail: (error: unknown) => finish(() => reject(error)) };
        waiting.add(read);
        options.signal?.addEventListener("abort", () => read.fail(options.signal?.reason), { once: true });
      });
      return answer();
    },
  };

  const client = { address: "http://scripted", identity, agent, health } as unknown as ConsulClient;
  return Object.assign(scripted, { client });
}
