// A method as the gRPC server knows it: its implementation and its options, with Connect's defaults. Calls nothing.

import type { DescMethod } from "@bufbuild/protobuf";
import type { ConnectRouterOptions, Interceptor, MethodImplSpec } from "@connectrpc/connect";
import { type Compression, createMethodUrl, validateUniversalHandlerOptions } from "@connectrpc/connect/protocol";
import { BinaryCodec, type Codec, JsonCodec } from "./codec.ts";

/** One method that is served. */
export interface GrpcRoute {
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly method: DescMethod;
  readonly spec: MethodImplSpec;
  readonly binary: Codec;
  readonly json: Codec;
  /** Outermost first. */
  readonly interceptors: readonly Interceptor[];
  /** Largest message taken, and sent; as it is on the wire and as it is unpacked. */
  readonly readMaxBytes: number;
  readonly writeMaxBytes: number;
  /** Taken from clients. */
  readonly compressions: readonly Compression[];
  /** Used for every client that takes it; undefined: answers are compressed only as their requests were. */
  readonly sendCompression: Compression | undefined;
  readonly compressMinBytes: number;
  /** Longest deadline that a client may have. */
  readonly maxTimeoutMs: number;
  readonly requestGate: ConnectRouterOptions["requestGate"] | undefined;
  /** Aborts the signals of handlers, beside what the server itself does. */
  readonly shutdownSignal: AbortSignal | undefined;
}

/** Makes a route of what a router was given, and what Connect's router has no option for. Throws ConnectError for sizes that cannot be. */
export function createGrpcRoute(
  spec: MethodImplSpec,
  options: Partial<ConnectRouterOptions>,
  sendCompression?: Compression,
): GrpcRoute {
  const { method } = spec;
  const checked = validateUniversalHandlerOptions(options);
  return {
    path: createMethodUrl("/", method),
    method,
    spec,
    binary: new BinaryCodec(method, checked.binaryOptions),
    json: new JsonCodec(method, checked.jsonOptions),
    interceptors: checked.interceptors,
    readMaxBytes: checked.readMaxBytes,
    writeMaxBytes: checked.writeMaxBytes,
    compressions: checked.acceptCompression,
    sendCompression,
    compressMinBytes: checked.compressMinBytes,
    maxTimeoutMs: checked.maxTimeoutMs,
    requestGate: checked.requestGate,
    shutdownSignal: checked.shutdownSignal,
  };
}
