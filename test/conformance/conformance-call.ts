// Makes one call of the conformance suite through a generated client, as a user of lictor would, and tells what became of it.

import { setTimeout as pause } from "node:timers/promises";
import { create, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { type CallOptions, type Client, ConnectError } from "@connectrpc/connect";
import type { ClientCompatRequest, ClientResponseResult } from "../gen/connectrpc/conformance/v1/client_compat_pb.ts";
import { ClientResponseResultSchema } from "../gen/connectrpc/conformance/v1/client_compat_pb.ts";
import { StreamType } from "../gen/connectrpc/conformance/v1/config_pb.ts";
import {
  BidiStreamRequestSchema,
  ClientStreamRequestSchema,
  type ConformancePayload,
  ConformancePayloadSchema,
  type ConformanceService,
  IdempotentUnaryRequestSchema,
  ServerStreamRequestSchema,
  UnaryRequestSchema,
  UnimplementedRequestSchema,
} from "../gen/connectrpc/conformance/v1/service_pb.ts";
import { addHeaders, toErrorMessage, toHeaderMessages } from "./wire-shapes.ts";

/** Makes the call; resolves whether it fails or not. Rejects for a request that asks for what there is not. */
export async function makeCall(
  request: ClientCompatRequest,
  client: Client<typeof ConformanceService>,
): Promise<ClientResponseResult> {
  const call = new ConformanceCall(request);
  try {
    await call.run(client);
  } catch (error) {
    if (error instanceof BadRequest) throw error;
    call.fail(ConnectError.from(error));
  } finally {
    call.end();
  }
  return call.result;
}

/** The suite asked for something that cannot be done. */
class BadRequest extends Error {
  override readonly name = "BadRequest";
}

interface Answer {
  readonly payload?: ConformancePayload | undefined;
}

class ConformanceCall {
  readonly result: ClientResponseResult = create(ClientResponseResultSchema);
  readonly #request: ClientCompatRequest;
  readonly #cancel = new AbortController();
  readonly #options: CallOptions;
  /** Full duplex: told of every answer, and of the end. */
  #wakeSender: (() => void) | undefined;
  #isOver = false;
  #unsent: number;

  constructor(request: ClientCompatRequest) {
    this.#request = request;
    this.#unsent = request.requestMessages.length;
    const headers = new Headers();
    addHeaders(headers, request.requestHeaders);
    this.#options = {
      headers,
      signal: this.#cancel.signal,
      ...(request.timeoutMs !== undefined && { timeoutMs: request.timeoutMs }),
      onHeader: (header) => {
        this.result.responseHeaders = toHeaderMessages(header);
      },
      onTrailer: (trailer) => {
        this.result.responseTrailers = toHeaderMessages(trailer);
      },
    };
  }

  async run(client: Client<typeof ConformanceService>): Promise<void> {
    const method = this.#request.method ?? methodOf(this.#request.streamType);
    switch (method) {
      case "Unary":
        return this.#one((message) => client.unary(message, this.#options), UnaryRequestSchema);
      case "IdempotentUnary":
        return this.#one((message) => client.idempotentUnary(message, this.#options), IdempotentUnaryRequestSchema);
      case "Unimplemented":
        return this.#one(async (message) => {
          await client.unimplemented(message, this.#options);
          return {};
        }, UnimplementedRequestSchema);
      case "ServerStream": {
        const message = await this.#only(ServerStreamRequestSchema);
        const answers = client.serverStream(message, this.#options);
        this.#cancelAfterClose();
        return this.#takeAll(answers);
      }
      case "ClientStream":
        this.#take(await client.clientStream(this.#messages(ClientStreamRequestSchema), this.#options));
        return;
      case "BidiStream":
        return this.#takeAll(client.bidiStream(this.#messages(BidiStreamRequestSchema), this.#options));
      default:
        throw new BadRequest(`there is no method ${method}`);
    }
  }

  fail(error: ConnectError): void {
    this.result.error = toErrorMessage(error);
    this.result.numUnsentRequests = this.#unsent;
    // Where the call failed before its headers came, or its trailers, the error has what there was.
    if (this.result.responseTrailers.length === 0) this.result.responseTrailers = toHeaderMessages(error.metadata);
  }

  end(): void {
    this.#isOver = true;
    this.#wakeSender?.();
  }

  async #one<Input extends DescMessage>(
    call: (message: MessageShape<Input>) => Promise<Answer>,
    schema: Input,
  ): Promise<void> {
    const message = await this.#only(schema);
    const answer = call(message);
    this.#cancelAfterClose();
    this.#take(await answer);
  }

  async #only<Input extends DescMessage>(schema: Input): Promise<MessageShape<Input>> {
    const [packed, ...more] = this.#request.requestMessages;
    if (packed === undefined || more.length > 0) throw new BadRequest("the call takes exactly one message");
    if (this.#request.requestDelayMs > 0) await pause(this.#request.requestDelayMs);
    this.#unsent = 0;
    return unpack(packed, schema);
  }

  async *#messages<Input extends DescMessage>(schema: Input): AsyncGenerator<MessageShape<Input>> {
    const { requestMessages, requestDelayMs, cancel, streamType } = this.#request;
    const isFullDuplex = streamType === StreamType.FULL_DUPLEX_BIDI_STREAM;
    let asked = 0;
    for (const packed of requestMessages) {
      if (requestDelayMs > 0) await pause(requestDelayMs);
      const message = unpack(packed, schema);
      this.#unsent--;
      yield message;
      asked++;
      if (isFullDuplex) await this.#untilAnswered(asked);
      if (this.#isOver) return;
    }
    if (cancel?.cancelTiming.case === "beforeCloseSend") {
      this.#cancel.abort();
      // The end of the messages would close the request: it stays open until the call is over.
      while (!this.#isOver) await this.#untilWoken();
      return;
    }
    this.#cancelAfterClose();
  }

  async #untilAnswered(count: number): Promise<void> {
    while (!this.#isOver && this.result.payloads.length < count) await this.#untilWoken();
  }

  #untilWoken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wakeSender = resolve;
    });
  }

  async #takeAll(answers: AsyncIterable<Answer>): Promise<void> {
    for await (const answer of answers) {
      this.#take(answer);
      const timing = this.#request.cancel?.cancelTiming;
      if (timing?.case === "afterNumResponses" && this.result.payloads.length === timing.value) this.#cancel.abort();
      this.#wakeSender?.();
    }
  }

  #take({ payload }: Answer): void {
    this.result.payloads.push(payload ?? create(ConformancePayloadSchema));
  }

  /** Called where the last message was handed over and the request ends. */
  #cancelAfterClose(): void {
    const { cancel } = this.#request;
    if (cancel === undefined) return;
    const { case: timing, value } = cancel.cancelTiming;
    if (timing === "afterCloseSendMs") setTimeout(() => this.#cancel.abort(), value);
    else if (timing === undefined) setTimeout(() => this.#cancel.abort(), 0);
  }
}

function methodOf(streamType: StreamType): string {
  switch (streamType) {
    case StreamType.UNARY:
      return "Unary";
    case StreamType.SERVER_STREAM:
      return "ServerStream";
    case StreamType.CLIENT_STREAM:
      return "ClientStream";
    default:
      return "BidiStream";
  }
}

function unpack<Input extends DescMessage>(
  packed: ClientCompatRequest["requestMessages"][number],
  schema: Input,
): MessageShape<Input> {
  const message = anyUnpack(packed, schema);
  if (message === undefined) throw new BadRequest(`${packed.typeUrl} is no ${schema.typeName}`);
  return message;
}
