// What a request's header block says of its call, worked out once for each block that comes again. Starts nothing.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests

import { Code, ConnectError } from "@connectrpc/connect";
import type { Compression } from "@connectrpc/connect/protocol";
import { maxTimerMs } from "../../core/clock.ts";
import { timeoutUnitMs } from "../../core/grpc-timeout.ts";
import type { PreparedFields } from "../../http2/stream.ts";
import { compressionNames, findCompression, takesCompression } from "../compression.ts";
import { statusFields } from "../status.ts";
import type { CallGate } from "./call-gate.ts";
import type { Codec } from "./codec.ts";
import type { GrpcRoute } from "./grpc-route.ts";

/** What calls of one method, one format and the same compressions share. For one connection only. */
export interface CallShape {
  readonly route: GrpcRoute;
  readonly codec: Codec;
  readonly requestCompression: Compression | undefined;
  readonly responseCompression: Compression | undefined;
  /** Of an answer that has messages, and of one that is nothing but trailers. */
  readonly head: PreparedFields;
  readonly trailersOnlyHead: PreparedFields;
  /** What its calls have to pass; undefined where they are always taken. */
  readonly gate: CallGate | undefined;
  /** Status of calls that cannot be served: the fields of its trailers. */
  readonly refusal: readonly string[] | undefined;
}

/** What one header block says. */
export interface RequestFacts {
  readonly shape: CallShape;
  /** At least 0; undefined where the client sets no deadline. */
  readonly timeoutMs: number | undefined;
  /** Status of a call that cannot be served: the fields of its trailers. */
  readonly refusal: readonly string[] | undefined;
}

/** The fields that decide. Empty texts where there are none. */
export interface RequestHead {
  method: string;
  path: string;
  contentType: string;
  encoding: string;
  acceptEncoding: string;
  timeout: string;
}

/** Picks the fields out of a block; of several of a name the last one counts. */
export function readRequestHead(fields: readonly string[]): RequestHead {
  const head: RequestHead = { method: "", path: "", contentType: "", encoding: "", acceptEncoding: "", timeout: "" };
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const value = fields[index + 1] ?? "";
    switch (fields[index]) {
      case ":method":
        head.method = value;
        break;
      case ":path":
        head.path = value;
        break;
      case "content-type":
        head.contentType = value;
        break;
      case "grpc-encoding":
        head.encoding = value;
        break;
      case "grpc-accept-encoding":
        head.acceptEncoding = value;
        break;
      case "grpc-timeout":
        head.timeout = value;
        break;
    }
  }
  return head;
}

/** The format of gRPC that a content type names; undefined where it is none of ours, or no gRPC. */
export function grpcFormat(contentType: string): "binary" | "json" | undefined {
  if (contentType === "application/grpc" || contentType === "application/grpc+proto") return "binary";
  const match = /^application\/grpc(?:\+(?:(json)(?:; ?charset=utf-?8)?|proto))?$/i.exec(contentType);
  if (match === null) return undefined;
  return match[1] === undefined ? "binary" : "json";
}

/** What a server has to agree on compressions with. */
export type CompressionChoice = Pick<GrpcRoute, "compressions" | "sendCompression">;

/** What is agreed on for messages, each way. */
export interface Encodings {
  readonly request: Compression | undefined;
  readonly response: Compression | undefined;
  readonly refusal: readonly string[] | undefined;
}

/**
 * Agrees on compressions: https://github.com/grpc/grpc/blob/master/doc/compression.md. Answers are compressed as the server was told to,
 * else as the request was; a client that merely could unpack them is not a reason.
 */
export function agreeOnEncodings(route: CompressionChoice, encoding: string, accepted: string): Encodings {
  const { compressions: available, sendCompression } = route;
  let request: Compression | undefined;
  let refusal: string[] | undefined;
  if (encoding !== "" && encoding !== "identity") {
    request = findCompression(available, encoding);
    if (request === undefined) {
      const names = compressionNames(available);
      const error = `unknown compression "${encoding}": supported encodings are ${names}`;
      refusal = [...statusFields(new ConnectError(error, Code.Unimplemented)), "grpc-accept-encoding", names];
    }
  }
  let response: Compression | undefined;
  if (sendCompression !== undefined && takesCompression(accepted, sendCompression.name)) response = sendCompression;
  // Who compresses can unpack, as long as it does not say otherwise.
  else if (accepted === "" || takesCompression(accepted, encoding)) response = request;
  return { request, response, refusal };
}

/** Milliseconds in a `grpc-timeout`, at most the longest that a timer can wait; or why there are none. */
export function readTimeout(text: string, maxTimeoutMs: number): number | ConnectError {
  const unit = timeoutUnitMs(text.charCodeAt(text.length - 1));
  const digits = text.length - 1;
  let count = 0;
  for (let at = 0; at < digits; at++) {
    const digit = text.charCodeAt(at) - 48;
    if (digit < 0 || digit > 9) count = Number.NaN;
    count = count * 10 + digit;
  }
  if (unit === undefined || digits < 1 || digits > 8 || Number.isNaN(count)) {
    return new ConnectError(`protocol error: invalid grpc timeout value: ${text}`, Code.InvalidArgument);
  }
  const timeoutMs = count * unit;
  if (timeoutMs > maxTimeoutMs) {
    return new ConnectError(`timeout ${timeoutMs}ms must be <= ${maxTimeoutMs}`, Code.InvalidArgument);
  }
  return Math.min(timeoutMs, maxTimerMs);
}
