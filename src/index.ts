// The public entry "lictor", for Bun, Deno and Node. Re-exports only.
/// <reference types="node" preserve="true" />

// Call: clients that find their servers in Consul.

export { type ConsulServiceConfigOptions, consulServiceConfig } from "./client/consul-service-config.ts";
export {
  type ConsulKeyConfig,
  type ConsulTransportOptions,
  type ConsulTransportSettings,
  createConsulTransport,
} from "./client/create-consul-transport.ts";
export { type CallFate, callFate, markAnswered, markUnprocessed, type Unprocessed } from "./core/call-fate.ts";
export { createHelloClient, type HelloClient, type HelloClientOptions } from "./hello/create-hello-client.ts";
export { createStoredResolver, type StoredResolverOptions, type StoredUse } from "./resolver/stored-resolver.ts";
export { type ParsedTarget, parseTarget } from "./resolver/target.ts";
export { fileStore } from "./runtime/file-store.ts";
export {
  type BalancedTransport,
  type BalancedTransportOptions,
  type BalancingOptions,
  createBalancedTransport,
} from "./transport/balanced-transport.ts";
export { waitForReady } from "./transport/call/wait-for-ready.ts";
export {
  type DiscoveryInterceptor,
  type DiscoveryInterceptorOptions,
  discoveryInterceptor,
} from "./transport/discovery-interceptor.ts";
export type {
  FailurePercentageOptions,
  LatencyOutlierOptions,
  OutlierDetectionOptions,
  SuccessRateOptions,
} from "./transport/outlier/outlier-options.ts";
export type { OutlierFault } from "./transport/outlier/track.ts";
export type { ShrinkHoldOptions } from "./transport/pool/endpoint-belief.ts";
export type { HealthCheckOptions } from "./transport/pool/health-watch.ts";
export type { ReadinessOptions } from "./transport/pool/readiness-options.ts";
export type { SubchannelState } from "./transport/pool/subchannel.ts";
export type { EndpointListStatus, EndpointStatus, TransportStatus } from "./transport/pool/transport-status.ts";
export { callAttempts } from "./transport/retry/call-attempts.ts";
export type {
  ServiceConfigListener,
  ServiceConfigSource,
} from "./transport/service-config/service-config.ts";
export { ServiceConfigError, type ServiceConfigProblem } from "./transport/service-config/service-config-error.ts";
export type { GivenServiceConfig, ServiceConfigStatus } from "./transport/service-config/service-config-holder.ts";
export type {
  CodeJson,
  DurationJson,
  HedgingPolicyJson,
  LoadBalancingJson,
  MethodConfigJson,
  MethodNameJson,
  OutlierDetectionJson,
  RetryPolicyJson,
  ServiceConfigJson,
} from "./transport/service-config/service-config-json.ts";

// Serve: servers that announce themselves there.

export { createHelloService, type HelloServiceOptions } from "./hello/hello-service.ts";
export type {
  GrpcCheckOptions,
  HttpCheckOptions,
  ProbeTlsOptions,
  TcpCheckOptions,
  TtlCheckOptions,
} from "./registry/check-options.ts";
export type { CheckOptions, HealthReport, RegisterOptions } from "./registry/register-options.ts";
export { registerService } from "./registry/register-service.ts";
export type { Registration, RegistrationState } from "./registry/registration.ts";
export type { CertificateNames } from "./runtime/certificate-names.ts";
export { type CloseOnSignalOptions, closeOnSignal, type SignalHandle } from "./runtime/close-on-signal.ts";
export type { PeerIdentity } from "./runtime/peer-identity.ts";
export type { TlsCredentials } from "./runtime/tls-credentials.ts";
export type { AdvertiseOptions } from "./server/announced-address.ts";
export type { Authorize, AuthorizeCall } from "./server/authorize.ts";
export type { ServerConnectionOptions, ServerKeepaliveOptions } from "./server/connection-options.ts";
export type { CorsOptions } from "./server/cors-options.ts";
export { drainSignal } from "./server/drain-signal.ts";
export type { HealthReporter, ServingStatus } from "./server/health-status.ts";
export { ListenError, type ListenErrorDetails } from "./server/listen-error.ts";
export type { OverloadStats } from "./server/overload/call-queue.ts";
export type { OverloadOptions } from "./server/overload/overload-options.ts";
export { callPeer, type Peer } from "./server/peer.ts";
export { serve } from "./server/serve.ts";
export type { ServeOptions, ServiceOptions } from "./server/serve-options.ts";
export type { DrainReport, Server, ServerAddress, ServerState, ServerStats } from "./server/server.ts";
export type { ServiceModule } from "./server/service-module.ts";
export type { ServerTlsOptions } from "./server/tls-front.ts";

// Consul itself.

export type {
  AgentCheckRegistration,
  AgentService,
  AgentServiceCheck,
  AgentServiceRegistration,
  CheckStatus,
  ConsulAgent,
  HealthCheck,
} from "./consul/agent.ts";
export type { ConsulCatalog, ConsulStatus } from "./consul/cluster.ts";
export {
  type ConsulClient,
  type ConsulClientOptions,
  type ConsulFetch,
  createConsulClient,
} from "./consul/consul-client.ts";
export { ConsulError, type ConsulErrorDetails, isUnknownCheck } from "./consul/consul-error.ts";
export type {
  ConsulHealth,
  HealthNode,
  HealthService,
  HealthServiceOptions,
  ServiceEntry,
} from "./consul/health.ts";
export type { ConsulKv, KvEntry, WatchKeyOptions } from "./consul/kv.ts";
export type { QueryOptions, QueryResult, RequestOptions } from "./consul/query.ts";
export { type ConsulFromEnvOptions, consulFromEnv, type Environment } from "./runtime/consul-from-env.ts";
export { createNodeFetch, type NodeFetchOptions } from "./runtime/node-fetch.ts";

// Parts to put together otherwise: who is there, who is next, how they are reached.

export { type CallOutcome, ignoreOutcome, type NewPicker, type Picker, type PickResult } from "./balancer/picker.ts";
export { roundRobin } from "./balancer/round-robin.ts";
export type { ClientTlsOptions } from "./connector/client-tls.ts";
export type { ConnectorOptions, KeepaliveOptions } from "./connector/connector-options.ts";
export { createHttp2Connector, type Http2ConnectorOptions } from "./connector/http2-connector.ts";
export { createNodeHttp2Connector, type NodeHttp2ConnectorOptions } from "./connector/node-http2-connector.ts";
export { createPerOriginSessions, type PerOriginSessions } from "./connector/per-origin-sessions.ts";
export { type ConsulResolverOptions, createConsulResolver } from "./resolver/consul-resolver.ts";
export type { InstanceQuery } from "./resolver/instance-query.ts";
export type { Resolver, ResolverListener, ResolverSnapshot } from "./resolver/resolver.ts";
export type { ConsulServiceQuery } from "./resolver/service-query.ts";
export type { StaticEndpoint } from "./resolver/static-endpoint.ts";
export { createStaticResolver, type StaticResolver } from "./resolver/static-resolver.ts";
export { type ServiceUpdate, type WatchServiceOptions, watchService } from "./resolver/watch-service.ts";
export type {
  CallCounts,
  Connection,
  ConnectionListener,
  ConnectionState,
  Connector,
  UnaryCaller,
} from "./transport/connector.ts";

// Small things that options are made of.

export type { BackoffOptions } from "./core/backoff.ts";
export type { CallSignal } from "./core/call-signal.ts";
export { type Clock, systemClock } from "./core/clock.ts";
export type { Endpoint } from "./core/endpoint.ts";
export type { EndpointStore, StoredEndpoints } from "./core/endpoint-store.ts";
export type { HostPort } from "./core/host-port.ts";
export { type LogFields, type Logger, silentLogger } from "./core/logger.ts";
export type { Random } from "./core/random.ts";
export type { Pem } from "./runtime/check-certificates.ts";
export { brotli, gzip } from "./runtime/zlib-compression.ts";
