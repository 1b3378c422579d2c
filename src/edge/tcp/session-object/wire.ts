// What a Worker and its session object say to each other over the stub's fetch: gRPC-Web, with two additions. Both sides import this
// file; it does no I/O.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md
//
// The request's body stays open until the answer was read: its end, or its breaking off, is how the object learns that the caller is gone,
// as a Durable Object sees an aborted fetch nowhere else without a compatibility flag. So the end of the messages is a frame of its own.

import type { ConnectError } from "@connectrpc/connect";
import { type EnvelopedMessage, encodeEnvelope } from "@connectrpc/connect/protocol";
import { statusFields } from "../../../grpc/status.ts";

/** Media type of requests and answers. */
export const wireType = "application/grpc-web+proto";

/** The flag of gRPC-Web's trailers: the last frame of an answer, and, empty, of a request's messages. */
export const lastFlag = 0x80;

/** Set to `unary` on calls with one message each way, which the object may then send again where a server refuses them. */
export const kindHeader = "lictor-call";

/** The end of a request's messages. */
export const endOfMessages: Uint8Array<ArrayBuffer> = encodeEnvelope(lastFlag, new Uint8Array(0));

/** The frame that ends an answer: how the call ended, and its trailers. */
export function lastEnvelope(error: ConnectError | undefined, trailer?: Headers): EnvelopedMessage {
  const lines: string[] = [];
  trailer?.forEach((value, name) => {
    if (!isProtocolField(name)) lines.push(`${name}: ${value}\r\n`);
  });
  const status = error === undefined ? ["grpc-status", "0"] : statusFields(error);
  for (let at = 0; at < status.length; at += 2) lines.push(`${status[at]}: ${status[at + 1]}\r\n`);
  return { flags: lastFlag, data: new TextEncoder().encode(lines.join("")) };
}

/** A call's or an answer's own metadata: what is left without the protocol's fields and those of HTTP. */
export function metadataOf(headers: Headers): Headers {
  const metadata = new Headers();
  headers.forEach((value, name) => {
    if (!isProtocolField(name)) metadata.append(name, value);
  });
  return metadata;
}

/** In lower case. Neither side passes them on: each connection has its own. */
function isProtocolField(name: string): boolean {
  return (
    protocolFields.has(name) ||
    (name.startsWith("grpc-") && !name.endsWith("-bin")) ||
    name === "grpc-status-details-bin"
  );
}

const protocolFields: ReadonlySet<string> = new Set([
  "accept",
  "accept-encoding",
  "connection",
  "content-encoding",
  "content-length",
  "content-type",
  "date",
  "host",
  "keep-alive",
  kindHeader,
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "user-agent",
  "x-grpc-web",
  "x-user-agent",
]);
