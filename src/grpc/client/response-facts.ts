// What the head of an answer says, worked out once for each header block that the connection remembers. Reads no messages.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses

import { Code, ConnectError } from "@connectrpc/connect";
import type { Compression } from "@connectrpc/connect/protocol";
import type { HeaderBlock } from "../../http2/hpack/header-decoder.ts";
import { findCompression } from "../compression.ts";
import { toHeaders } from "../metadata.ts";
import { readStatus } from "../status.ts";

/** The fields that decide how an answer is read. */
export interface ResponseFacts {
  readonly httpStatus: number;
  /** `undefined` where there is none. */
  readonly contentType: string | undefined;
  /** Of grpc-encoding; empty for none and for `identity`. */
  readonly encoding: string;
  /** 200, gRPC, not compressed: nothing more to ask. */
  readonly isPlain: boolean;
}

/** Reads the head of an answer; remembered in `block.derived`. */
export function responseFacts(block: HeaderBlock): ResponseFacts {
  const known = block.derived as ResponseFacts | undefined;
  if (known !== undefined) return known;
  const facts = readFacts(block.fields);
  block.derived = facts;
  return facts;
}

/** The status in trailers; that of a call that went well is remembered in `block.derived`. */
export function trailersStatus(block: HeaderBlock): ConnectError | "ok" | undefined {
  if (block.derived === "ok") return "ok";
  const status = readStatus(block.fields);
  if (status === "ok") block.derived = status;
  return status;
}

/** Why an answer cannot be read as gRPC, if it cannot; its metadata are the answer's headers. */
export function responseProblem(
  facts: ResponseFacts,
  block: HeaderBlock,
  accepted: readonly Compression[],
): ConnectError | undefined {
  const { httpStatus, contentType, encoding } = facts;
  if (httpStatus !== 200) {
    return new ConnectError(`HTTP ${httpStatus}`, codeOfHttpStatus(httpStatus), toHeaders(block.fields));
  }
  if (contentType === undefined || !/^application\/grpc($|[+;])/i.test(contentType)) {
    return new ConnectError(`unsupported content type ${contentType}`, Code.Unknown, toHeaders(block.fields));
  }
  if (!/^application\/grpc(\+proto)?($|;)/i.test(contentType)) {
    return new ConnectError(`unsupported content type ${contentType}`, Code.Internal, toHeaders(block.fields));
  }
  if (encoding !== "" && findCompression(accepted, encoding) === undefined) {
    return new ConnectError(`unsupported response encoding "${encoding}"`, Code.Internal, toHeaders(block.fields));
  }
  return undefined;
}

function readFacts(fields: readonly string[]): ResponseFacts {
  let httpStatus = 0;
  let contentType: string | undefined;
  let encoding = "";
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const value = fields[index + 1] ?? "";
    switch (fields[index]) {
      case ":status":
        httpStatus = Number(value);
        break;
      case "content-type":
        contentType ??= value;
        break;
      case "grpc-encoding":
        encoding = value === "identity" ? "" : value;
        break;
    }
  }
  const isPlain =
    httpStatus === 200 &&
    encoding === "" &&
    (contentType === "application/grpc" || contentType === "application/grpc+proto");
  return { httpStatus, contentType, encoding, isPlain };
}

/** https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md */
function codeOfHttpStatus(status: number): Code {
  switch (status) {
    case 400:
      return Code.Internal;
    case 401:
      return Code.Unauthenticated;
    case 403:
      return Code.PermissionDenied;
    case 404:
      return Code.Unimplemented;
    case 429:
    case 502:
    case 503:
    case 504:
      return Code.Unavailable;
    default:
      return Code.Unknown;
  }
}
