// What a server can be told, its defaults and its limits. Does no I/O.

import type { ConnectRouter, Interceptor } from "@connectrpc/connect";
import type { Compression } from "@connectrpc/connect/protocol";
import type { ConsulClient, ConsulClientOptions } from "../consul/consul-client.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { type Logger, silentLogger } from "../core/logger.ts";
import { type Random, systemRandom } from "../core/random.ts";
import { defaultCompressMinBytes, isCompression } from "../grpc/compression.ts";
import type { RegisterOptions } from "../registry/register-options.ts";
import type { AdvertiseOptions } from "./announced-address.ts";
import type { Authorize } from "./authorize.ts";
import {
  type ResolvedConnectionOptions,
  resolveConnectionOptions,
  type ServerConnectionOptions,
} from "./connection-options.ts";
import { type CorsOptions, type CorsPolicy, resolveCors } from "./cors-options.ts";
import { type OverloadOptions, type ResolvedOverload, resolveOverload } from "./overload/overload-options.ts";
import { refuseOption } from "./refuse-option.ts";
import type { Server } from "./server.ts";
import { checkServerTls, type ServerTlsOptions } from "./tls-front.ts";

/** How the server is registered: everything that a registration can be told, but for what the server knows itself. */
export type ServiceOptions = Omit<
  RegisterOptions,
  "consul" | "name" | "host" | "port" | "logger" | "clock" | "random" | "signal"
> & {
  /** Service name in Consul. Default: the name of the one routed service, without its package. */
  readonly name?: string;
};

/** What to serve, where, and how it is announced. */
export interface ServeOptions extends ServerConnectionOptions {
  /**
   * Adds services to Connect's router; called once, before `serve` returns. The standard health service is there already, and
   * a method may be routed once only. The server is the one that `serve` returns, for handlers that want its address.
   */
  readonly routes: (router: ConnectRouter, server: Server) => void;
  /** Host name or IP literal to listen on; `0.0.0.0` and `::` mean every address. Default `127.0.0.1`. */
  readonly host?: string;
  /** Port to listen on, 0 to 65535; 0 takes any free one. Default 0. */
  readonly port?: number;
  /**
   * Whose HTTP/2 is spoken: lictor's own, with native gRPC straight to its handlers, or the runtime's node:http2, with every protocol
   * through Connect's. Both serve the same. Default `lictor`.
   */
  readonly http2?: "lictor" | "node";
  /** Serves TLS instead of cleartext. */
  readonly tls?: ServerTlsOptions;
  /**
   * Asked whether a call may be served, before its message is looked at and before any interceptor, in every protocol; `true` lets it.
   * Calls of health and reflection are asked for too: it sees the method. `/healthz` and the fallback are no calls. Default: everybody
   * may call everything.
   */
  readonly authorize?: Authorize;
  /** Around every call, outermost first. */
  readonly interceptors?: readonly Interceptor[];
  /** Largest message taken, in bytes, from 1 to 4294967295; larger ones fail with `resource_exhausted`. Default 4194304 (4 MiB). */
  readonly maxReceiveBytes?: number;
  /**
   * What the answers of native gRPC are compressed with, for every client that says it takes it: `gzip` and `brotli` are exports of lictor.
   * Compressing costs several times what the rest of a call does: worth it where the network is slow. Default: an answer is compressed
   * where its request names a compression, with the same. By Connect and gRPC-Web, and by all protocols with `http2: "node"`, Connect's
   * own rule holds instead: gzip or brotli for every client that says it takes them. Only with `http2: "lictor"`.
   */
  readonly sendCompression?: Compression;
  /** Smallest message that is compressed, in bytes, at least 0, in every protocol; Infinity: none is. Default 1024. */
  readonly compressMinBytes?: number;
  /**
   * Answers requests that are neither RPCs nor for `/healthz`. Default: 404. Name the content type yourself: Bun's
   * `new Response("text")` has none.
   */
  readonly fallback?: (request: Request) => Response | Promise<Response>;
  /**
   * Pages of these origins may call the server from a browser, by Connect and gRPC-Web; see also `CorsOptions`. It covers RPCs,
   * `/healthz` and the server's own refusals; the fallback answers for itself. Default: none, and no CORS header anywhere.
   */
  readonly cors?: readonly string[] | CorsOptions;
  /**
   * Serves reflection, `grpc.reflection.v1` and `v1alpha`, so that tools like grpcurl need no .proto files: whoever can call
   * the server can then read what it serves. The interceptors are around it too. Default false.
   */
  readonly reflection?: boolean;
  /** What to announce instead of the address listened on. */
  readonly advertise?: AdvertiseOptions;
  /** The agent to register with: a client, its options, or its address. Absent: no registration. */
  readonly consul?: ConsulClient | ConsulClientOptions | string;
  /** Service name in Consul, or everything about the registration. Only with `consul`. */
  readonly service?: string | ServiceOptions;
  /** Milliseconds that calls under way get at the end, at least 0. Default 10000. */
  readonly graceMs?: number;
  /** Milliseconds to go on serving after Consul no longer lists the instance, at least 0: some clients poll. Default 1000. Without a registration there is none. */
  readonly drainMarginMs?: number;
  /** How the server defends itself against more calls than it can answer; `{}` for the defaults. Absent: it takes every call. */
  readonly overload?: OverloadOptions;
  /** Told of changes of state and of handlers that fail unexpectedly. Silent by default. */
  readonly logger?: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** Options with every default in its place. */
export interface ResolvedServeOptions
  extends Omit<ServeOptions, "service" | "cors" | "overload" | keyof ServerConnectionOptions> {
  readonly host: string;
  readonly port: number;
  readonly http2: "lictor" | "node";
  readonly connections: ResolvedConnectionOptions;
  readonly interceptors: readonly Interceptor[];
  readonly maxReceiveBytes: number;
  readonly compressMinBytes: number;
  readonly cors: CorsPolicy | undefined;
  readonly reflection: boolean;
  readonly service: ServiceOptions;
  readonly graceMs: number;
  readonly drainMarginMs: number;
  readonly overload: ResolvedOverload | undefined;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
}

/** Fills in the defaults. Throws TypeError or RangeError that names the option, the rule and the value. */
export function resolveServeOptions(options: ServeOptions): ResolvedServeOptions {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`Cannot serve as the options must be an object: received ${options}`);
  }
  const { host = "127.0.0.1", port = 0, maxReceiveBytes = 4 * 1024 * 1024, tls, advertise, service = {} } = options;
  const {
    compressMinBytes = defaultCompressMinBytes,
    graceMs = 10_000,
    drainMarginMs = 1000,
    reflection = false,
    http2 = "lictor",
  } = options;
  if (typeof options.routes !== "function") refuseOption("routes", "must be a function", options.routes);
  if (typeof host !== "string" || host === "") refuseOption("host", "must be a non-empty string", host);
  checkInteger("port", port, 0, 65535);
  if (http2 !== "lictor" && http2 !== "node") refuseOption("http2", 'must be "lictor" or "node"', http2);
  if (advertise?.port !== undefined) checkInteger("advertise.port", advertise.port, 1, 65535);
  if (advertise?.host === "") refuseOption("advertise.host", "must be a non-empty string", advertise.host);
  checkInteger("maxReceiveBytes", maxReceiveBytes, 1, 0xffff_ffff);
  if (typeof compressMinBytes !== "number" || !(compressMinBytes >= 0)) {
    refuseOption("compressMinBytes", "must be a number of bytes, at least 0", compressMinBytes, RangeError);
  }
  checkSendCompression(options.sendCompression, http2);
  if (typeof reflection !== "boolean") refuseOption("reflection", "must be a boolean", reflection);
  checkDuration("graceMs", graceMs);
  checkDuration("drainMarginMs", drainMarginMs);
  if (tls !== undefined) checkServerTls(tls);
  if (options.authorize !== undefined && typeof options.authorize !== "function") {
    refuseOption("authorize", "must be a function", options.authorize);
  }
  if (options.service !== undefined && options.consul === undefined) {
    refuseOption("service", 'is used only with "consul"', typeof service === "string" ? service : service.name);
  }
  return {
    ...options,
    host,
    port,
    http2,
    connections: resolveConnectionOptions(options, http2),
    interceptors: options.interceptors ?? [],
    maxReceiveBytes,
    compressMinBytes,
    cors: resolveCors(options.cors),
    reflection,
    service: typeof service === "string" ? { name: service } : service,
    graceMs,
    drainMarginMs,
    overload: resolveOverload(options.overload),
    logger: options.logger ?? silentLogger,
    clock: options.clock ?? systemClock,
    random: options.random ?? systemRandom,
  };
}

function checkInteger(option: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  refuseOption(option, `must be an integer from ${min} to ${max}`, value, RangeError);
}

function checkSendCompression(compression: Compression | undefined, http2: "lictor" | "node"): void {
  if (compression === undefined) return;
  const option = "sendCompression";
  if (!isCompression(compression)) {
    refuseOption(option, "must be a compression, like gzip or brotli of lictor", compression);
  }
  if (http2 !== "lictor") refuseOption(option, 'is used only with "http2" lictor', compression.name);
}

function checkDuration(option: string, value: number): void {
  if (typeof value === "number" && value >= 0 && value < Number.POSITIVE_INFINITY) return;
  refuseOption(option, "must be milliseconds, at least 0", value, RangeError);
}
