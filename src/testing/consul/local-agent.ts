// The agent's own services and checks, which it pushes into the catalog: TTLs, probes, the reaper, maintenance.
// No HTTP, no ACLs. What a write does to a check's status is as measured on Consul 1.8.7.

import type { CheckStatus } from "../../consul/agent.ts";
import type { Clock } from "../../core/clock.ts";
import type { Random } from "../../core/random.ts";
import type { Catalog } from "./catalog.ts";
import type { CheckSettings } from "./definitions.ts";
import type { CheckRecord, ServiceRecord } from "./model.ts";
import { createProbeDriver, type Probe } from "./probe-driver.ts";
import { type CheckDriver, createTtlDriver } from "./ttl-driver.ts";

/** A check to register: its record, and how its status is found. */
export interface CheckRegistration {
  readonly record: CheckRecord;
  readonly settings: CheckSettings;
}

/** What the agent is made of. */
export interface LocalAgentOptions {
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly random: Random;
  readonly probe: Probe;
}

/** The agent's own services and checks. Every write reaches the catalog before it returns. */
export interface LocalAgent {
  services(): readonly ServiceRecord[];
  service(id: string): ServiceRecord | undefined;
  checks(): readonly CheckRecord[];
  check(id: string): CheckRecord | undefined;
  /** Adds or replaces a service. Its checks keep the status they had; those it no longer names stay unless `replaceChecks`. */
  registerService(service: ServiceRecord, checks: readonly CheckRegistration[], replaceChecks: boolean): void;
  registerCheck(check: CheckRegistration): void;
  /** False where it is unknown. */
  removeService(id: string): boolean;
  /** False where it is unknown. */
  removeCheck(id: string): boolean;
  /** A report for a TTL check; false where there is no such check. */
  report(id: string, status: CheckStatus, output: string): boolean;
  /** Puts a service, or the node where `service` is undefined, in maintenance for a reason. Does nothing while it is. */
  enableMaintenance(service: ServiceRecord | undefined, reason: string): void;
  disableMaintenance(service: ServiceRecord | undefined): void;
  /** Stops all timers and probes. */
  close(): void;
}

/** A check as the agent holds it. */
interface LocalCheck {
  record: CheckRecord;
  readonly driver: CheckDriver | undefined;
  /** 0: never. */
  readonly reapAfterMs: number;
  criticalSinceMs: number | undefined;
  cancelSync: (() => void) | undefined;
}

const outputMaxBytes = 4096;
// A change of output alone reaches the catalog after half this time to one and a half (check_update_interval).
const outputSyncMs = 300_000;
const reapIntervalMs = 30_000;
const minReapAfterMs = 60_000;

/** Creates an agent with nothing registered. */
export function createLocalAgent(options: LocalAgentOptions): LocalAgent {
  const { catalog, clock, random, probe } = options;
  const services = new Map<string, ServiceRecord>();
  const checks = new Map<string, LocalCheck>();

  const setStatus = (id: string, status: CheckStatus, output: string) => {
    const check = checks.get(id);
    if (check === undefined) return;
    if (status !== "critical") check.criticalSinceMs = undefined;
    else check.criticalSinceMs ??= clock.now();
    if (check.record.status === status && check.record.output === output) return;
    const isStatusChange = check.record.status !== status;
    check.record = { ...check.record, status, output };
    if (isStatusChange) sync(check);
    else check.cancelSync ??= clock.schedule(outputSyncMs * (0.5 + random()), () => sync(check));
  };

  const sync = (check: LocalCheck) => {
    check.cancelSync?.();
    check.cancelSync = undefined;
    catalog.register(undefined, [check.record]);
  };

  const startDriver = ({ record: { id }, settings }: CheckRegistration): CheckDriver => {
    const onStatus = (status: CheckStatus, output: string) => setStatus(id, status, output);
    if (settings.TTL > 0) {
      const maxBytes = settings.OutputMaxSize > 0 ? settings.OutputMaxSize : outputMaxBytes;
      return createTtlDriver({ ttlMs: settings.TTL, outputMaxBytes: maxBytes, clock, onStatus });
    }
    return createProbeDriver({ settings, probe, clock, random, onStatus });
  };

  const dropCheck = (check: LocalCheck) => {
    check.driver?.close();
    check.cancelSync?.();
    checks.delete(check.record.id);
  };

  /** Takes a check in; one of the same id hands on its status and output. */
  const putCheck = (registration: CheckRegistration): CheckRecord => {
    const previous = checks.get(registration.record.id);
    if (previous !== undefined) dropCheck(previous);
    const { status, output } = previous?.record ?? registration.record;
    const record = { ...registration.record, status, output };
    const after = registration.settings.DeregisterCriticalServiceAfter;
    // A new check counts as critical from its first verdict on, one registered again from now on.
    const criticalSinceMs = previous !== undefined && status === "critical" ? clock.now() : undefined;
    checks.set(record.id, {
      record,
      driver: startDriver(registration),
      reapAfterMs: after > 0 ? Math.max(after, minReapAfterMs) : 0,
      criticalSinceMs,
      cancelSync: undefined,
    });
    return record;
  };

  const checksOf = (serviceId: string) => [...checks.values()].filter((check) => check.record.serviceId === serviceId);

  const agent: LocalAgent = {
    services: () => [...services.values()].sort((a, b) => (a.id < b.id ? -1 : 1)),
    service: (id) => services.get(id),
    checks: () => [...checks.values()].map((check) => check.record).sort((a, b) => (a.id < b.id ? -1 : 1)),
    check: (id) => checks.get(id)?.record,
    registerService(service, list, replaceChecks) {
      services.set(service.id, service);
      const records = list.map(putCheck);
      catalog.register(service, records);
      if (!replaceChecks) return;
      const kept = new Set(records.map((record) => record.id));
      for (const check of checksOf(service.id)) {
        if (!kept.has(check.record.id)) agent.removeCheck(check.record.id);
      }
    },
    registerCheck(registration) {
      catalog.register(undefined, [putCheck(registration)]);
    },
    removeService(id) {
      if (!services.delete(id)) return false;
      for (const check of checksOf(id)) dropCheck(check);
      catalog.deregisterService(id);
      return true;
    },
    removeCheck(id) {
      const check = checks.get(id);
      if (check === undefined) return false;
      dropCheck(check);
      catalog.deregisterCheck(id);
      return true;
    },
    report(id, status, output) {
      const report = checks.get(id)?.driver?.report;
      report?.(status, output);
      return report !== undefined;
    },
    enableMaintenance(service, reason) {
      const record = maintenanceCheck(service, reason);
      if (checks.has(record.id)) return;
      checks.set(record.id, {
        record,
        driver: undefined,
        reapAfterMs: 0,
        criticalSinceMs: clock.now(),
        cancelSync: undefined,
      });
      catalog.register(undefined, [record]);
    },
    disableMaintenance(service) {
      agent.removeCheck(maintenanceCheck(service, "").id);
    },
    close() {
      cancelReaper();
      for (const check of [...checks.values()]) dropCheck(check);
    },
  };

  const reap = () => {
    cancelReaper = clock.schedule(reapIntervalMs, reap);
    for (const { record, reapAfterMs, criticalSinceMs } of [...checks.values()]) {
      const isDue = criticalSinceMs !== undefined && clock.now() - criticalSinceMs > reapAfterMs;
      if (reapAfterMs > 0 && isDue) agent.removeService(record.serviceId);
    }
  };
  let cancelReaper = clock.schedule(reapIntervalMs, reap);

  return agent;
}

/** https://developer.hashicorp.com/consul/api-docs/agent/service#enable-maintenance-mode */
function maintenanceCheck(service: ServiceRecord | undefined, reason: string): CheckRecord {
  const what = service === undefined ? "node" : "service";
  const fallback = `Maintenance mode is enabled for this ${what}, but no reason was provided. This is a default message.`;
  return {
    id: service === undefined ? "_node_maintenance" : `_service_maintenance:${service.id}`,
    name: service === undefined ? "Node Maintenance Mode" : "Service Maintenance Mode",
    status: "critical",
    notes: reason === "" ? fallback : reason,
    output: "",
    serviceId: service?.id ?? "",
    serviceName: service?.name ?? "",
    serviceTags: service?.tags ?? [],
    type: "maintenance",
    intervalMs: 0,
    timeoutMs: 0,
  };
}
