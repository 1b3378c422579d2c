// Turns the user's routes into handlers by path, with the standard services for health and reflection beside them: Connect's handlers
// for every protocol, and routes of our own for native gRPC. Serves nothing itself.

import type { ConnectRouter, Interceptor, StreamRequest, UnaryRequest } from "@connectrpc/connect";
import type { Compression, UniversalHandler } from "@connectrpc/connect/protocol";
import { Health } from "../../gen/grpc/health/v1/health_pb.ts";
import type { GrpcRoute } from "../grpc/server/grpc-route.ts";
import { Turns, unpackingInTurn } from "../grpc/server/turns.ts";
import { brotli, gzip } from "../runtime/zlib-compression.ts";
import { drainSignal } from "./drain-signal.ts";
import { failWhenCut } from "./fail-when-cut.ts";
import { createHealthService } from "./health-service.ts";
import type { HealthStatus } from "./health-status.ts";
import type { RequestGate } from "./overload/request-gate.ts";
import { createRecordingRouter } from "./recording-router.ts";
import { reflectionServices, routeReflection } from "./reflection-service.ts";

/**
 * Messages that a server has unpacked at a time, whoever sent them: a few hundred bytes may become as much as is taken. Twice as many as
 * Node does at once.
 */
const maxUnpacking = 8;

const untilDrain = ({ contextValues }: UnaryRequest | StreamRequest): AbortSignal => contextValues.get(drainSignal);

/** What the routes are built from. */
export interface RpcRoutesOptions {
  /** Adds the user's services to the router. */
  readonly routes: (router: ConnectRouter) => void;
  /** The user's, outermost first. */
  readonly interceptors: readonly Interceptor[];
  /** The server's own, around the user's, for calls by Connect's handlers: native gRPC does the same by itself. */
  readonly guards: readonly Interceptor[];
  /** Asked before every call, of the standard services too. */
  readonly authorize: RequestGate | undefined;
  /** The server's own, before every other one; likewise. */
  readonly requestGate: RequestGate | undefined;
  /** Largest message taken, in bytes. */
  readonly maxReceiveBytes: number;
  /** Smallest message that is compressed, in bytes. */
  readonly compressMinBytes: number;
  /** What native gRPC's answers are compressed with for every client that takes it. */
  readonly sendCompression: Compression | undefined;
  /** Aborting it aborts the signal of every call under way, with its reason. */
  readonly shutdownSignal: AbortSignal;
  /** Where every routed service becomes SERVING, unless its status is set already. */
  readonly health: HealthStatus;
  /** Whether reflection is served too. */
  readonly reflection: boolean;
}

/** What was routed. */
export interface RpcRoutes {
  /** By path: `/package.Service/Method`. */
  readonly handlers: ReadonlyMap<string, UniversalHandler>;
  /** What native gRPC reaches, by path. */
  readonly grpc: ReadonlyMap<string, GrpcRoute>;
  /** Full names of the user's services, in the order of their routes. */
  readonly services: readonly string[];
}

/** Builds the routes. Throws TypeError where a method is routed twice, or a service that is served already. */
export function createRpcRoutes(options: RpcRoutesOptions): RpcRoutes {
  const { health, reflection } = options;
  const unpacking = new Turns(maxUnpacking, setImmediate);
  const { router, recorded } = createRecordingRouter({
    options: {
      acceptCompression: [gzip, brotli].map((one) => unpackingInTurn(one, unpacking)),
      interceptors: [...options.interceptors],
      readMaxBytes: options.maxReceiveBytes,
      compressMinBytes: options.compressMinBytes,
    },
    guards: options.guards,
    authorize: options.authorize,
    requestGate: options.requestGate,
    shutdownSignal: options.shutdownSignal,
    sendCompression: options.sendCompression,
  });
  options.routes(router);
  const services = [...new Set(router.handlers.map((handler) => handler.service.typeName))];
  if (services.includes(Health.typeName)) {
    throw new TypeError(
      `Cannot serve as "routes" must leave ${Health.typeName} to the server: use its health.setStatus() instead`,
    );
  }
  const conflicting = reflection ? services.find((service) => reflectionServices.includes(service)) : undefined;
  if (conflicting !== undefined) {
    throw new TypeError(`Cannot serve as "routes" must leave ${conflicting} to the server where "reflection" is on`);
  }
  for (const service of services) if (health.status(service) === undefined) health.setStatus(service, "SERVING");
  router.service(Health, createHealthService(health));
  if (reflection) {
    // Tools keep their stream open: it must not hold up a drain. Options of a service replace the router's.
    routeReflection(router, { interceptors: [...options.interceptors, failWhenCut(untilDrain)] });
  }

  const handlers = new Map<string, UniversalHandler>();
  for (const handler of router.handlers) {
    if (handlers.has(handler.requestPath)) {
      throw new TypeError(`Cannot serve as "routes" must have each method once: received ${handler.requestPath} twice`);
    }
    handlers.set(handler.requestPath, handler);
  }
  return { handlers, grpc: new Map(recorded.map((route) => [route.path, route])), services };
}
