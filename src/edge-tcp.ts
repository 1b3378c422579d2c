// The public entry "lictor/edge/tcp": native gRPC on the sockets of Cloudflare's Workers, beside "lictor/edge". Re-exports only.

// Call, from a request.

export {
  createEdgeTcpTransport,
  type EdgeTcpTransport,
  type EdgeTcpTransportOptions,
} from "./edge/tcp/create-edge-tcp-transport.ts";

// Call on connections that a Durable Object keeps.

export {
  grpcSessionObject,
  type SessionObject,
  type SessionObjectClass,
  type SessionObjectOptions,
} from "./edge/tcp/session-object/grpc-session-object.ts";
export {
  createSessionObjectTransport,
  type SessionObjectStub,
  type SessionObjectTransportOptions,
} from "./edge/tcp/session-object/session-object-transport.ts";

// Parts.

export type { TcpSocketOptions } from "./edge/tcp/open-tcp-socket.ts";
export { createTcpConnector, type TcpConnectorOptions } from "./edge/tcp/tcp-connector.ts";
export type { ConnectFunction, SocketAddress, WorkerSocket, WorkerSocketOptions } from "./edge/tcp/worker-socket.ts";
export { streamGzip as gzip } from "./grpc/compression.ts";
