// The object's side of one call: takes it off the stub's fetch, makes it over a transport, and answers. Keeps nothing after the call.

import { fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Empty } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { parseTimeout } from "@connectrpc/connect/protocol-grpc";
import { maxTimerMs } from "../../../core/clock.ts";
import { rawMethod, rawSchema } from "./raw-method.ts";
import {
  type Frame,
  FrameReader,
  kindHeader,
  lastFrame,
  metadataOf,
  nextFrame,
  wireType,
  writeFrames,
} from "./wire.ts";

/** The Worker is ours, and bounds what it sends; a message grows with what came of it. */
const maxRequestBytes = 0xffff_ffff;

/** Answers a call. Never rejects. `onEnd` is called once, when the answer was read or nobody reads it any more. */
export async function answerCall(request: Request, transport: Transport, onEnd: () => void): Promise<Response> {
  const call = new ObjectCall(request, onEnd);
  try {
    return await call.answer(request, transport);
  } catch (error) {
    return call.fail(error);
  }
}

class ObjectCall {
  readonly #controller = new AbortController();
  readonly #requestSignal: AbortSignal;
  readonly #onEnd: () => void;
  readonly #onGone = (): void => this.#leave();
  #isOver = false;

  constructor(request: Request, onEnd: () => void) {
    this.#onEnd = onEnd;
    this.#requestSignal = request.signal;
    // Told by workerd only with the compatibility flag enable_request_signal.
    this.#requestSignal.addEventListener("abort", this.#onGone, { once: true });
  }

  async answer(request: Request, transport: Transport): Promise<Response> {
    const { pathname } = new URL(request.url);
    const method = rawMethod(pathname);
    if (method === undefined) throw new ConnectError(`there is no method at ${pathname}`, Code.Unimplemented);
    const { timeoutMs, error } = parseTimeout(request.headers.get("grpc-timeout"), Number.POSITIVE_INFINITY);
    if (error !== undefined) throw error;
    const remainingMs = timeoutMs === undefined ? undefined : Math.min(Math.max(timeoutMs, 1), maxTimerMs);
    const header = metadataOf(request.headers);
    const { signal } = this.#controller;
    const messages = this.#messages(request.body);
    if (request.headers.get(kindHeader) === "unary") {
      const message = await onlyMessage(messages);
      const response = await transport.unary(method.unary, signal, remainingMs, header, message, undefined);
      this.#end();
      return reply(response.header, writeFrames(toFrame(response.message), lastFrame(undefined, response.trailer)));
    }
    const response = await transport.stream(method.stream, signal, remainingMs, header, messages, undefined);
    return reply(response.header, this.#body(response.message, response.trailer));
  }

  fail(error: unknown): Response {
    this.#end();
    return reply(new Headers(), writeFrames(lastFrame(passOn(error))));
  }

  /** What the caller sends, in order; watches, once that has ended, whether the caller is still there. */
  async *#messages(body: ReadableStream<Uint8Array> | null): AsyncGenerator<Empty> {
    const reader = body?.getReader();
    const frames = new FrameReader(maxRequestBytes);
    let isComplete = false;
    try {
      for (;;) {
        const frame = await this.#read(reader, frames);
        if (frame.isLast) break;
        yield fromBinary(rawSchema, frame.bytes);
      }
      isComplete = true;
      void this.#watch(reader);
    } finally {
      // The server wants no more of them, or the call has ended: how, is the answer's to say.
      if (!isComplete) void reader?.cancel().catch(() => {});
    }
  }

  async #read(reader: ReadableStreamDefaultReader<Uint8Array> | undefined, frames: FrameReader): Promise<Frame> {
    try {
      const frame = await nextFrame(reader, frames);
      if (frame === undefined) throw callerGone();
      return frame;
    } catch (error) {
      this.#leave();
      throw error;
    }
  }

  async #watch(reader: ReadableStreamDefaultReader<Uint8Array> | undefined): Promise<void> {
    try {
      while (!((await reader?.read())?.done ?? true));
    } catch {
      // Broken off rather than ended: the same.
    }
    this.#leave();
  }

  #body(messages: AsyncIterable<Empty>, trailer: Headers): ReadableStream<Uint8Array> {
    const iterator = messages[Symbol.asyncIterator]();
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          try {
            const { done, value } = await iterator.next();
            if (done !== true) {
              controller.enqueue(writeFrames(toFrame(value)));
              return;
            }
            controller.enqueue(writeFrames(lastFrame(undefined, trailer)));
          } catch (error) {
            controller.enqueue(writeFrames(lastFrame(passOn(error))));
          }
          this.#end();
          controller.close();
        },
        cancel: () => this.#leave(),
      },
      { highWaterMark: 0 },
    );
  }

  /** The caller is gone. */
  #leave(): void {
    if (this.#isOver) return;
    this.#controller.abort(callerGone());
    this.#end();
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#requestSignal.removeEventListener("abort", this.#onGone);
    this.#onEnd();
  }
}

async function onlyMessage(messages: AsyncIterator<Empty>): Promise<Empty> {
  const first = await messages.next();
  const second = first.done === true ? first : await messages.next();
  if (first.done === true || second.done !== true) {
    throw new ConnectError("a unary call has one message", Code.Unimplemented);
  }
  return first.value;
}

function toFrame(message: Empty): Frame {
  return { bytes: toBinary(rawSchema, message), isLast: false };
}

function reply(header: Headers, body: BodyInit): Response {
  const headers = metadataOf(header);
  headers.set("content-type", wireType);
  return new Response(body, { headers });
}

/** The error as this server's own: what another one's is not sent with, its metadata, is for the caller all the same. */
function passOn(thrown: unknown): ConnectError {
  const error = ConnectError.from(thrown);
  const own = new ConnectError(error.rawMessage, error.code, error.metadata);
  own.details = error.details;
  return own;
}

function callerGone(): ConnectError {
  return new ConnectError("the caller is gone", Code.Canceled);
}
