// A Resolver over Consul's health answers. Opens no query of its own: service-watch.ts shares one among all who ask the same.

import type { Endpoint } from "../core/endpoint.ts";
import { describeInstanceQuery } from "./instance-query.ts";
import type { Resolver, ResolverSnapshot } from "./resolver.ts";
import { type ServiceInstance, toEndpoint } from "./service-instance.ts";
import { type ConsulServiceQuery, resolveServiceQuery } from "./service-query.ts";
import { followService, refreshService, type WatchSnapshot } from "./service-watch.ts";

/** Options of a Consul resolver: the query, nothing more. */
export type ConsulResolverOptions = ConsulServiceQuery;

/**
 * Creates a resolver of one service's instances. It reads Consul only while somebody listens, by one blocking query that it
 * shares with every resolver and watch of the same query in this process. Consul's errors leave the last snapshot
 * standing, marked stale. Throws TypeError or RangeError for bad options.
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
  };
}

/** Turns snapshots of instances into snapshots of endpoints; the same instance gives the same endpoint object every time. */
export function snapshotMapper(scheme: "http" | "https"): (snapshot: WatchSnapshot) => ResolverSnapshot {
  const endpoints = new WeakMap<ServiceInstance, Endpoint>();
  const endpointOf = (instance: ServiceInstance): Endpoint => {
    const endpoint = endpoints.get(instance) ?? toEndpoint(instance, scheme);
    endpoints.set(instance, endpoint);
    return endpoint;
  };
  return ({ instances, stale, confirmedAtMs }) => ({ endpoints: instances.map(endpointOf), stale, confirmedAtMs });
}
