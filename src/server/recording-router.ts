// A ConnectRouter that notes what it is given, so that native gRPC can be served without Connect's handlers. Serves nothing itself.

import {
  type ConnectRouter,
  type ConnectRouterOptions,
  createConnectRouter,
  createMethodImplSpec,
  createServiceImplSpec,
  type Interceptor,
} from "@connectrpc/connect";
import type { Compression, UniversalHandler } from "@connectrpc/connect/protocol";
import { createGrpcRoute, type GrpcRoute } from "../grpc/server/grpc-route.ts";
import { bothGates, type RequestGate } from "./overload/request-gate.ts";

/** What the router is made with. */
export interface RecordingRouterParts {
  /** Of every service that does not say otherwise. */
  readonly options: ConnectRouterOptions;
  /** Around all interceptors, also those that a service has in place of the router's; for Connect's handlers only. */
  readonly guards: readonly Interceptor[];
  /** Asked before every call, in a service with a requestGate of its own too; for the recorded routes as well. */
  readonly authorize?: RequestGate | undefined;
  /** Before every other requestGate, `authorize` too; for Connect's handlers only. */
  readonly requestGate?: RequestGate | undefined;
  /** Aborts the signals of Connect's handlers. */
  readonly shutdownSignal: AbortSignal;
  /** Of the recorded routes; see GrpcRoute. */
  readonly sendCompression?: Compression | undefined;
}

/** The router, and what it noted so far. */
export interface RecordingRouter {
  readonly router: ConnectRouter;
  readonly recorded: readonly GrpcRoute[];
}

/** Creates a router without routes. */
export function createRecordingRouter(parts: RecordingRouterParts): RecordingRouter {
  const { guards, requestGate, shutdownSignal, sendCompression } = parts;
  const recorded: GrpcRoute[] = [];
  // A service's options replace the router's, one by one, as Connect has it; but not who is let in.
  const authorized = (own: ConnectRouterOptions): ConnectRouterOptions => {
    const gate = bothGates(parts.authorize, own.requestGate ?? parts.options.requestGate);
    return gate === undefined ? own : { ...own, requestGate: gate };
  };
  const options = authorized(parts.options);
  const guarded = (own: ConnectRouterOptions): ConnectRouterOptions => {
    const gate = bothGates(requestGate, own.requestGate);
    return {
      ...own,
      ...(own.interceptors !== undefined && { interceptors: [...guards, ...own.interceptors] }),
      ...(gate !== undefined && { requestGate: gate }),
    };
  };
  const inner = createConnectRouter({ ...guarded({ interceptors: [], ...options }), shutdownSignal });
  const merged = (own: ConnectRouterOptions | undefined): ConnectRouterOptions => ({ ...options, ...own });

  const router: ConnectRouter = {
    // To look at: a handler that somebody put there would be asked for by nobody, neither who is let in nor how many.
    get handlers() {
      return Object.freeze([...inner.handlers]) as UniversalHandler[];
    },
    service(service, implementation, given) {
      const own = given && authorized(given);
      inner.service(service, implementation, own && guarded(own));
      if ((own as ConnectRouterOptions | undefined)?.grpc !== false) {
        const { methods } = createServiceImplSpec(service, implementation);
        for (const spec of Object.values(methods)) recorded.push(createGrpcRoute(spec, merged(own), sendCompression));
      }
      return this;
    },
    rpc(method, implementation, given) {
      const own = given && authorized(given);
      inner.rpc(method, implementation, own && guarded(own));
      if ((own as ConnectRouterOptions | undefined)?.grpc !== false) {
        recorded.push(createGrpcRoute(createMethodImplSpec(method, implementation), merged(own), sendCompression));
      }
      return this;
    },
  };
  return { router, recorded };
}
