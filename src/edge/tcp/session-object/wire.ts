// What a Worker and its session object say to each other over the stub's fetch. Both sides import this file; it does no I/O.
//
// A request is a POST to /package.Service/Method with the call's metadata in its headers, and with the messages in its body as gRPC has them,
// never compressed: the flag of compression marks the last frame, which is no message. In a request it is empty; in an answer it
// holds the trailers, status and all, a line each. The request's body stays open until the answer was read: its end, or its breaking off, is
// how the object learns that the caller is gone, as a Durable Object is told of an aborted fetch in no other way without a
// compatibility flag (measured on workerd 1.20260730).

import type { ConnectError } from "@connectrpc/connect";
import { messageHeadBytes, putMessageHead } from "../../../grpc/message.ts";
import { MessageReader, type MessageSink } from "../../../grpc/message-reader.ts";
import { statusFields } from "../../../grpc/status.ts";

/** Media type of requests and answers. */
export const wireType = "application/x-lictor-call.v1";

/** Set to `unary` on calls with one message each way, which the object may then send again where a server refuses them. */
export const kindHeader = "lictor-call";

/** A message, or what ends them. */
export interface Frame {
  readonly bytes: Uint8Array;
  readonly isLast: boolean;
}

/** Longest list of trailers that is read, whatever the limit of messages. */
const maxLastBytes = 64 * 1024;

/** Frames out of the pieces that a body comes in. */
export class FrameReader implements MessageSink {
  readonly #messages: MessageReader;
  readonly #frames: Frame[] = [];

  /** `maxBytes`: longest message; somewhat longer ones may pass. */
  constructor(maxBytes: number) {
    this.#messages = new MessageReader(Math.max(maxBytes, maxLastBytes));
  }

  /** Throws ConnectError: `resource_exhausted` for a message that claims to be too long. */
  push(piece: Uint8Array): void {
    this.#messages.read(piece, 0, piece.length, this);
  }

  /** The next whole frame. */
  shift(): Frame | undefined {
    return this.#frames.shift();
  }

  onMessage(bytes: Uint8Array, isLast: boolean): void {
    this.#frames.push({ bytes, isLast });
  }
}

/** Reads until there is a whole frame; undefined where the body ends before. Rejects with what the body rejects with. */
export async function nextFrame(
  body: ReadableStreamDefaultReader<Uint8Array> | undefined,
  frames: FrameReader,
): Promise<Frame | undefined> {
  for (;;) {
    const frame = frames.shift();
    if (frame !== undefined) return frame;
    const piece = await body?.read();
    if (piece === undefined || piece.done) return undefined;
    frames.push(piece.value);
  }
}

/** Frames as bytes. */
export function writeFrames(...frames: readonly Frame[]): Uint8Array<ArrayBuffer> {
  const length = frames.reduce((sum, { bytes }) => sum + messageHeadBytes + bytes.length, 0);
  const written = new Uint8Array(length);
  let at = 0;
  for (const { bytes, isLast } of frames) {
    at = putMessageHead(written, at, bytes.length, isLast);
    written.set(bytes, at);
    at += bytes.length;
  }
  return written;
}

/** The end of a request's messages. */
export const endOfMessages: Frame = { bytes: new Uint8Array(0), isLast: true };

/** The end of an answer: how the call ended, and its trailers. */
export function lastFrame(error: ConnectError | undefined, trailer?: Headers): Frame {
  const lines: string[] = [];
  trailer?.forEach((value, name) => {
    if (!isProtocolField(name)) lines.push(`${name}: ${value}\n`);
  });
  const status = error === undefined ? ["grpc-status", "0"] : statusFields(error);
  for (let at = 0; at < status.length; at += 2) lines.push(`${status[at]}: ${status[at + 1]}\n`);
  return { bytes: new TextEncoder().encode(lines.join("")), isLast: true };
}

/** The trailers in an answer's last frame: names and values in turn. */
export function readLastFrame({ bytes }: Frame): string[] {
  const lines = new TextDecoder().decode(bytes).split("\n");
  return lines.flatMap((line) => {
    const colon = line.indexOf(": ");
    return colon > 0 ? [line.slice(0, colon), line.slice(colon + 2)] : [];
  });
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
  if (protocolFields.has(name) || name === "grpc-status-details-bin") return true;
  return name.startsWith("grpc-") && !name.endsWith("-bin");
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
]);
