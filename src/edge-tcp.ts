// The public entry "lictor/edge/tcp": native gRPC on the sockets of Cloudflare's Workers, beside "lictor/edge". Re-exports only.
/// <reference lib="esnext.disposable" preserve="true" />

// Call, from a request.

export {
  createEdgeTcpTransport,
  type EdgeTcpTransport,
  type EdgeTcpTransportOptions,
} from "./edge/tcp/create-edge-tcp-transport.ts";

// Call on connections that a Durable Object keeps.

export type { SessionObjectStub } from "./edge/tcp/session-object/ask-object.ts";
export {
  grpcSessionObject,
  type SessionObject,
  type SessionObjectClass,
  type SessionObjectOptions,
} from "./edge/tcp/session-object/grpc-session-object.ts";
export {
  createSessionObjectTransport,
  type SessionObjectTransportOptions,
} from "./edge/tcp/session-object/session-object-transport.ts";

// Parts, as "lictor" has them, where that cannot be imported.

export type { KeepaliveOptions } from "./connector/connector-options.ts";
export type { CallSignal } from "./core/call-signal.ts";
export type { NamedObjectState } from "./edge/object-options.ts";
export type { TcpSocketOptions } from "./edge/tcp/open-tcp-socket.ts";
export { createTcpConnector, type TcpConnectorOptions } from "./edge/tcp/tcp-connector.ts";
export type { ConnectFunction, SocketAddress, WorkerSocket, WorkerSocketOptions } from "./edge/tcp/worker-socket.ts";
export { streamGzip as gzip } from "./grpc/compression.ts";
export { type ConsulResolverOptions, createConsulResolver } from "./resolver/consul-resolver.ts";
export type { Resolver, ResolverListener, ResolverSnapshot } from "./resolver/resolver.ts";
export { createStaticResolver, type StaticResolver } from "./resolver/static-resolver.ts";
export {
  type BalancedTransport,
  type BalancedTransportOptions,
  type BalancingOptions,
  createBalancedTransport,
} from "./transport/balanced-transport.ts";
export type {
  Connection,
  ConnectionListener,
  ConnectionState,
  Connector,
  UnaryCaller,
} from "./transport/connector.ts";
