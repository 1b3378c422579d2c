// The public entry "lictor/edge": the client on fetch alone, for Workers, Deno Deploy and browsers, and for Bun, Deno and Node. Re-exports only.

// Call.

export { type CallFate, callFate } from "./core/call-fate.ts";
export type { EdgeTransport } from "./edge/call-endpoints.ts";
export { createEdgeTransport } from "./edge/create-edge-transport.ts";
export type {
  EdgeCallOptions,
  EdgeDiscoveryOptions,
  EdgeTransportOptions,
  FetchFunction,
} from "./edge/edge-options.ts";
export type { DiscoveryState } from "./edge/endpoint-discovery.ts";
export {
  createEdgeHelloClient as createHelloClient,
  type EdgeHelloClient,
  type EdgeHelloClientOptions,
} from "./hello/create-edge-hello-client.ts";

// Know where the servers are.

export { type ConsulSourceOptions, createConsulSource } from "./edge/consul-source.ts";
export type { SnapshotStore } from "./edge/kept-watch.ts";
export {
  type ServiceWatchOptions,
  serviceWatchObject,
  type WatchObject,
  type WatchObjectClass,
  type WatchObjectState,
} from "./edge/service-watch-object.ts";
export { type EndpointSnapshot, parseSnapshot, type SnapshotSource } from "./edge/snapshot.ts";
export { createSnapshotCache, type SnapshotCache } from "./edge/snapshot-cache.ts";
export { createWatchObjectSource, type WatchObjectResponse, type WatchObjectStub } from "./edge/watch-object-source.ts";
export type { InstanceQuery } from "./resolver/instance-query.ts";
export type { StaticEndpoint } from "./resolver/static-endpoint.ts";
export { type ParsedTarget, parseTarget } from "./resolver/target.ts";

// Consul itself.

export {
  type ConsulClient,
  type ConsulClientOptions,
  type ConsulFetch,
  createConsulClient,
} from "./consul/consul-client.ts";
export { ConsulError, type ConsulErrorDetails } from "./consul/consul-error.ts";
export type { ConsulServiceQuery } from "./resolver/service-query.ts";

// Small things that options are made of.

export type { CallOutcome, NewPicker, Picker, PickResult } from "./balancer/picker.ts";
export { roundRobin } from "./balancer/round-robin.ts";
export type { Clock } from "./core/clock.ts";
export type { Endpoint } from "./core/endpoint.ts";
export type { LogFields, Logger } from "./core/logger.ts";
