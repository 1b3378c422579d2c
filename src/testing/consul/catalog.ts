// The catalog of one node: services, checks, the index of each, and whom a write wakes. Pure state: no HTTP, no timers.
// Index rules as measured on Consul 1.8.7: a service's index moves with its instances, its checks and the node's checks.

import type { CheckRecord, Indexed, ServiceRecord } from "./model.ts";
import type { RaftIndex } from "./raft-index.ts";
import type { Topics } from "./topics.ts";

/** One instance with the checks that decide its health. */
export interface CatalogEntry {
  readonly service: Indexed<ServiceRecord>;
  /** The node's checks, then the instance's, each sorted by id. */
  readonly checks: readonly Indexed<CheckRecord>[];
}

/** What a read found, the index it has, and the topics that may change it. */
export interface CatalogRead<T> {
  readonly data: T;
  readonly index: number;
  readonly topics: readonly string[];
}

/** Services and checks of the agent's node. Reads are sorted by id. */
export interface Catalog {
  /** Writes a service and checks of it in one step; what is the same already does not move any index. */
  register(service: ServiceRecord | undefined, checks: readonly CheckRecord[]): void;
  /** Removes a service with its checks. */
  deregisterService(serviceId: string): void;
  deregisterCheck(checkId: string): void;
  /** Instances by name, without regard to case, and their health. */
  entries(serviceName: string): CatalogRead<readonly CatalogEntry[]>;
  /** Instances by name only: changes of health do not wake it. */
  instances(serviceName: string): CatalogRead<readonly Indexed<ServiceRecord>[]>;
  /** Every instance. */
  services(): CatalogRead<readonly Indexed<ServiceRecord>[]>;
  checksOfService(serviceName: string): CatalogRead<readonly Indexed<CheckRecord>[]>;
  /** Checks by status, or all of them for `any`. */
  checksByStatus(status: string): CatalogRead<readonly Indexed<CheckRecord>[]>;
}

/** Creates an empty catalog. */
export function createCatalog(raft: RaftIndex, topics: Topics): Catalog {
  const services = new Map<string, Indexed<ServiceRecord>>();
  const checks = new Map<string, Indexed<CheckRecord>>();
  const serviceIndexes = new Map<string, number>();
  let servicesIndex = raft.current;
  let checksIndex = raft.current;
  let extinctionIndex = 0;

  const named = (key: string) =>
    [...services.values()].filter((service) => service.name.toLowerCase() === key).sort(byId);
  const checkList = () => [...checks.values()].sort(byId);

  /** One write: collects the topics it touches and publishes them once it is complete. */
  const write = (apply: (index: number, touch: (topic: string) => void) => void) => {
    const touched = new Set<string>();
    apply(raft.next(), (topic) => touched.add(topic));
    topics.publish(touched);
  };

  const touchService = (name: string, index: number, touch: (topic: string) => void) => {
    const key = name.toLowerCase();
    serviceIndexes.set(key, index);
    touch(`health:${key}`);
  };

  const touchCheck = (check: CheckRecord, index: number, touch: (topic: string) => void) => {
    checksIndex = index;
    touch("checks");
    touch(`checks-by-status:${check.status}`);
    touch(`checks-of:${check.serviceName.toLowerCase()}`);
    if (check.serviceId !== "") touchService(check.serviceName, index, touch);
    // A check of the node is part of the health of everything on it.
    else for (const service of services.values()) touchService(service.name, index, touch);
  };

  const putCheck = (check: CheckRecord, index: number, touch: (topic: string) => void) => {
    const previous = checks.get(keyOf(check));
    if (previous !== undefined && isSame(previous, check)) return;
    checks.set(keyOf(check), { ...check, createIndex: previous?.createIndex ?? index, modifyIndex: index });
    if (previous !== undefined) touchCheck(previous, index, touch);
    touchCheck(check, index, touch);
  };

  const removeCheck = (check: CheckRecord, index: number, touch: (topic: string) => void) => {
    checks.delete(keyOf(check));
    touchCheck(check, index, touch);
  };

  const removeName = (name: string, index: number, touch: (topic: string) => void) => {
    const key = name.toLowerCase();
    touchService(name, index, touch);
    touch(`instances:${key}`);
    if (named(key).length > 0) return;
    // The last one: names that nobody has share the index of the last extinction, so their watchers wake for nothing.
    serviceIndexes.delete(key);
    extinctionIndex = index;
    touch("extinction");
  };

  const putService = (service: ServiceRecord, index: number, touch: (topic: string) => void) => {
    const previous = services.get(keyOf(service));
    if (previous !== undefined && isSame(previous, service)) return;
    services.set(keyOf(service), { ...service, createIndex: previous?.createIndex ?? index, modifyIndex: index });
    servicesIndex = index;
    touch("services");
    touch(`instances:${service.name.toLowerCase()}`);
    touchService(service.name, index, touch);
    if (previous !== undefined && previous.name !== service.name) removeName(previous.name, index, touch);
  };

  const indexOf = (key: string, exists: boolean, fallback: number) => {
    if (exists) return serviceIndexes.get(key) ?? fallback;
    return extinctionIndex === 0 ? fallback : extinctionIndex;
  };

  return {
    register(service, list) {
      write((index, touch) => {
        if (service !== undefined) putService(service, index, touch);
        for (const check of list) putCheck(check, index, touch);
      });
    },
    deregisterService(serviceId) {
      const service = services.get(serviceId.toLowerCase());
      if (service === undefined) return;
      write((index, touch) => {
        for (const check of checks.values()) {
          if (isOf(check, service)) removeCheck(check, index, touch);
        }
        services.delete(serviceId.toLowerCase());
        servicesIndex = index;
        touch("services");
        removeName(service.name, index, touch);
      });
    },
    deregisterCheck(checkId) {
      const check = checks.get(checkId.toLowerCase());
      if (check !== undefined) write((index, touch) => removeCheck(check, index, touch));
    },
    entries(serviceName) {
      const key = serviceName.toLowerCase();
      const found = named(key);
      const all = checkList();
      const nodeChecks = all.filter((check) => check.serviceId === "");
      const data = found.map((service) => ({
        service,
        checks: [...nodeChecks, ...all.filter((check) => isOf(check, service))],
      }));
      return {
        data,
        index: indexOf(key, found.length > 0, Math.max(servicesIndex, checksIndex)),
        topics: found.length > 0 ? [`health:${key}`] : [`health:${key}`, "extinction"],
      };
    },
    instances(serviceName) {
      const key = serviceName.toLowerCase();
      const data = named(key);
      return {
        data,
        index: indexOf(key, data.length > 0, servicesIndex),
        topics: data.length > 0 ? [`instances:${key}`] : [`instances:${key}`, "extinction"],
      };
    },
    services: () => ({ data: [...services.values()].sort(byId), index: servicesIndex, topics: ["services"] }),
    checksOfService(serviceName) {
      const key = serviceName.toLowerCase();
      const data = checkList().filter((check) => check.serviceId !== "" && check.serviceName.toLowerCase() === key);
      return { data, index: checksIndex, topics: data.length > 0 ? [`checks-of:${key}`] : ["checks"] };
    },
    checksByStatus(status) {
      const data = checkList().filter((check) => status === "any" || check.status === status);
      return { data, index: checksIndex, topics: [status === "any" ? "checks" : `checks-by-status:${status}`] };
    },
  };
}

/** Consul's catalog tells ids apart without regard to case; its agent, with it. */
function keyOf({ id }: { readonly id: string }): string {
  return id.toLowerCase();
}

function isOf(check: CheckRecord, service: ServiceRecord): boolean {
  return check.serviceId.toLowerCase() === keyOf(service);
}

function byId(a: { readonly id: string }, b: { readonly id: string }): number {
  return keyOf(a) < keyOf(b) ? -1 : 1;
}

/** Whether a stored record says what a new one does; its indexes are its own. */
function isSame<T extends object>(stored: Indexed<T>, record: T): boolean {
  const { createIndex: _create, modifyIndex: _modify, ...content } = stored;
  return JSON.stringify(content) === JSON.stringify(record);
}
