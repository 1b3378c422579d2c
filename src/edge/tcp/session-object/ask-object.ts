// The Worker's side of one call on the wire: sends it to the object, reads what comes back. Runs no interceptors.

import type { DescMessage, DescMethod, MessageShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { fitGrpcTimeout } from "../../../core/grpc-timeout.ts";
import { decodeMessage } from "../../../grpc/client/encode-message.ts";
import { appendFields } from "../../../grpc/metadata.ts";
import { readStatus } from "../../../grpc/status.ts";
import { describeError } from "../../../transport/describe-error.ts";
import type { Deadline } from "../../prepare-call.ts";
import { type Frame, FrameReader, kindHeader, nextFrame, readLastFrame, wireType } from "./wire.ts";

/** The part of Cloudflare's DurableObjectStub that is used. */
export interface SessionObjectStub {
  /** For messages; a stub has it where its id was made of a name. */
  readonly name?: string | undefined;
  /** Sends a request to the object. */
  fetch(url: string, init: RequestInit): Promise<Response>;
}

/** What the object says to a call, so far. */
export interface Answer {
  readonly response: Response;
  readonly header: Headers;
  /** What the caller is told of an error that the object sent, or with which reading failed. */
  explain(error: unknown): unknown;
  /** The answer was read, or is not read any more. Idempotent. */
  end(): void;
}

/** Sends a call to the object; resolves when its answer begins. `nextPiece` gives the body of the request, a piece at a time. */
export async function askObject(
  stub: SessionObjectStub,
  kind: "unary" | "stream",
  method: DescMethod,
  deadline: Deadline | undefined,
  { header, signal }: { readonly header: Headers; readonly signal: AbortSignal },
  nextPiece: () => Promise<IteratorResult<Uint8Array, unknown>>,
): Promise<Answer> {
  const headers = new Headers(header);
  headers.set("content-type", wireType);
  headers.set(kindHeader, kind);
  if (deadline !== undefined) headers.set("grpc-timeout", fitGrpcTimeout(`${deadline.remainingMs()}m`));
  const name = typeof stub.name === "string" ? `the Durable Object ${JSON.stringify(stub.name)}` : "the Durable Object";
  // The object only sees that the caller is gone where the caller's own messages have failed.
  let broken: ConnectError | undefined;
  const explain = (error: unknown): unknown => {
    if (signal.aborted) return signal.reason;
    if (broken !== undefined) return broken;
    if (error instanceof ConnectError) return error;
    return new ConnectError(
      `no answer from ${name}: ${describeError(error)}`,
      Code.Unavailable,
      undefined,
      undefined,
      error,
    );
  };
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  // Open until the answer was read: see wire.ts.
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        let piece: IteratorResult<Uint8Array, unknown>;
        try {
          piece = await nextPiece();
        } catch (error) {
          broken ??= ConnectError.from(error, Code.Unknown);
          throw broken;
        }
        if (piece.done !== true) {
          controller.enqueue(piece.value);
          return;
        }
        await ended;
        controller.close();
      },
    },
    { highWaterMark: 0 },
  );
  // Node wants to be told that it need not wait for the answer until the body has ended.
  const init = { method: "POST", headers, body, signal, duplex: "half" };
  let response: Response;
  try {
    // An object reads no host; a stub wants a whole URL all the same.
    response = await stub.fetch(`https://session-object.invalid/${method.parent.typeName}/${method.name}`, init);
  } catch (error) {
    end();
    throw explain(error);
  }
  if (response.headers.get("content-type") !== wireType) {
    end();
    const text = (await response.text().catch(() => "")).trim().slice(0, 1024);
    throw new ConnectError(`${name} answered ${response.status}: ${text}`, Code.Unknown);
  }
  const answered = new Headers(response.headers);
  answered.delete("content-type");
  return { response, header: answered, explain, end };
}

/** The trailers in the last frame. Throws the call's error, or that the frame is missing. */
function trailerOf(last: Frame | undefined, answer: Answer): Headers {
  if (last?.isLast !== true) throw answer.explain(new Error("it broke off"));
  const fields = readLastFrame(last);
  const status = readStatus(fields);
  if (status instanceof ConnectError) {
    answer.header.forEach((value, name) => {
      status.metadata.append(name, value);
    });
    throw answer.explain(status);
  }
  const trailer = new Headers();
  appendFields(trailer, fields);
  return trailer;
}

/** The one message of an answer. Rejects with the call's error. */
export async function readMessage<O extends DescMessage>(
  schema: O,
  answer: Answer,
  maxBytes: number,
): Promise<{ readonly message: MessageShape<O>; readonly trailer: Headers }> {
  const frames = new FrameReader(maxBytes);
  try {
    frames.push(new Uint8Array(await answer.response.arrayBuffer()));
  } catch (error) {
    throw answer.explain(error);
  } finally {
    answer.end();
  }
  const first = frames.shift();
  const trailer = trailerOf(first?.isLast === false ? frames.shift() : first, answer);
  if (first === undefined || first.isLast) throw answer.explain(new Error("it sent no message"));
  return { message: decode(schema, first, maxBytes), trailer };
}

/** The messages of an answer; `trailer` is filled at their end. Throws the call's error, after the messages before it. */
export async function* readMessages<O extends DescMessage>(
  schema: O,
  answer: Answer,
  trailer: Headers,
  maxBytes: number,
): AsyncGenerator<MessageShape<O>> {
  const reader = answer.response.body?.getReader();
  const frames = new FrameReader(maxBytes);
  try {
    for (;;) {
      let frame: Frame | undefined;
      try {
        frame = await nextFrame(reader, frames);
      } catch (error) {
        throw answer.explain(error);
      }
      if (frame?.isLast !== false) {
        trailerOf(frame, answer).forEach((value, name) => {
          trailer.append(name, value);
        });
        return;
      }
      yield decode(schema, frame, maxBytes);
    }
  } finally {
    answer.end();
    void reader?.cancel().catch(() => {});
  }
}

function decode<O extends DescMessage>(schema: O, { bytes }: Frame, maxBytes: number): MessageShape<O> {
  if (bytes.length > maxBytes) {
    throw new ConnectError(
      `message size ${bytes.length} is larger than configured readMaxBytes ${maxBytes}`,
      Code.ResourceExhausted,
    );
  }
  return decodeMessage(schema, bytes);
}
