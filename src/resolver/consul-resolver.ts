// A Resolver over Consul's health answers. Opens no query of its own: service-watch.ts shares one among all who ask the same.

import { optionsOf } from "../consul/client-options.ts";
import type { Endpoint } from "../core/endpoint.ts";
import { describeInstanceQuery, instanceQueryKey } from "./instance-query.ts";
import type { Resolver, ResolverSnapshot } from "./resolver.ts";
import { type ServiceInstance, toEndpoint } from "./service-instance.ts";
import { type ConsulServiceQuery, resolveServiceQuery } from "./service-query.ts";
import { followService, latestOfService, refreshService, type WatchSnapshot } from "./service-watch.ts";

/** Options of a Consul resolver: the query, nothing more. */
export type ConsulResolverOptions = ConsulServiceQuery;

/**
 * Creates a resolver of one service's instances. It reads Consul only while somebody listens, by one blocking query that it
 * shares with every resolver and watch of the same query in this process. Consul's errors leave the last snapshot
 * standing, marked stale. While the cluster has no leader, any server's answer is taken that is no older than what is known, marked stale
 * too (unless `consistency` asks for more). Throws TypeError or RangeError for bad options.
 */
export function createConsulResolver(options: ConsulResolverOptions): Resolver {
  const query = resolveServiceQuery(options);
  const toSnapshot = snapshotMapper(query.scheme);
  return {
    description: describeInstanceQuery(query, query.client.address),
    subscribe: (listener) =>
      followService(query, {
        onSnapshot: (snapshot) => listener.onSnapshot(toSnapshot(snapshot)),
        onError: (error) => listener.onError(error),
      }),
    refresh: () => refreshService(query),
    get latest() {
      const snapshot = latestOfService(query);
      return snapshot && toSnapshot(snapshot);
    },
  };
}

/** What a resolver's endpoints are stored under: the same for all who ask the same of the same agents, by whatever right. Holds no secret. */
export function consulStoreKey(options: ConsulResolverOptions): string {
  const query = resolveServiceQuery(options);
  const place = optionsOf(query.client)?.place ?? query.client.address;
  return `${query.scheme} ${instanceQueryKey(query)} of ${place}`;
}

/** Turns snapshots of instances into snapshots of endpoints; the same instance gives the same endpoint object every time. */
export function snapshotMapper(scheme: "http" | "https"): (snapshot: WatchSnapshot) => ResolverSnapshot {
  const endpoints = new WeakMap<ServiceInstance, Endpoint>();
  const endpointOf = (instance: ServiceInstance): Endpoint => {
    const endpoint = endpoints.get(instance) ?? toEndpoint(instance, scheme);
    endpoints.set(instance, endpoint);
    return endpoint;
  };
  return ({ instances, ...rest }) => ({ ...rest, endpoints: instances.map(endpointOf) });
}
