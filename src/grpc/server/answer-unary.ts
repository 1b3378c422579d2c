// Sends the one message of an answer, and unpacks messages of requests. Knows no streams of messages.

import { Code, ConnectError } from "@connectrpc/connect";
import { plainBytes } from "../../core/plain-bytes.ts";
import { type OutgoingMessage, wholeBytes } from "../outgoing-message.ts";
import type { ServerCall } from "./server-call.ts";

/** Answers with a message, or with what a promise comes to; one that is there is sent at once. Never throws. */
export function answerUnary(call: ServerCall, value: unknown): void {
  if (isThenable(value)) {
    value.then(
      (message) => answer(call, message),
      (error) => call.fail(error),
    );
  } else {
    answer(call, value);
  }
}

function answer(call: ServerCall, value: unknown): void {
  if (call.ticket !== undefined) call.settled();
  if (call.isOver) return;
  const { room } = call.home;
  if (room.isOpen) make(call, value);
  else room.enter(() => make(call, value));
}

function make(call: ServerCall, value: unknown): void {
  if (call.isOver) return;
  let message: OutgoingMessage;
  try {
    message = call.encode(value);
  } catch (error) {
    call.fail(error);
    return;
  }
  if (call.isCompressible(message)) {
    pack(call, message).then(
      (packed) => call.home.room.enter(() => send(call, packed, true)),
      (error) => call.fail(error),
    );
  } else {
    send(call, message, false);
  }
}

function send(call: ServerCall, message: OutgoingMessage, isCompressed: boolean): void {
  if (call.isOver) return;
  call.send(message, isCompressed);
  call.finish();
}

/** Compresses a message that `isCompressible`. */
export async function pack(call: ServerCall, message: OutgoingMessage): Promise<Uint8Array> {
  const bytes = wholeBytes(message);
  const compression = call.shape.responseCompression;
  return compression === undefined ? bytes : call.home.room.hold(bytes.length, compression.compress(bytes));
}

/** Unpacks a message whose flag says that it is compressed. Rejects with ConnectError. */
export async function unpack(call: ServerCall, message: Uint8Array): Promise<Uint8Array> {
  const { requestCompression, route } = call.shape;
  if (requestCompression === undefined) {
    // https://github.com/grpc/grpc/blob/master/doc/compression.md: the flag without an encoding is INTERNAL.
    throw new ConnectError("received a compressed message without a grpc-encoding", Code.Internal);
  }
  const { connection, unpacking } = call.home;
  // Also where the call is over: the message waits for its turn all the same.
  connection.keep(message.length);
  try {
    return await unpacking.run(async () => {
      if (call.isOver) throw new ConnectError("the call is over", Code.Canceled);
      return plainBytes(await requestCompression.decompress(message, route.readMaxBytes));
    });
  } finally {
    connection.letGo(message.length);
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}
