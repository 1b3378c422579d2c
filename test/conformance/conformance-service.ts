// ConformanceService: answers as the requests ask for it, and repeats what it got of them. Knows no network.

import { setTimeout as pause } from "node:timers/promises";
import { create, createRegistry, type Message } from "@bufbuild/protobuf";
import { type Any, anyPack } from "@bufbuild/protobuf/wkt";
import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import {
  type BidiStreamRequest,
  BidiStreamRequestSchema,
  type ClientStreamRequest,
  ClientStreamRequestSchema,
  type ConformancePayload_RequestInfo,
  ConformancePayload_RequestInfoSchema,
  ConformanceService,
  type Error as ErrorMessage,
  type IdempotentUnaryRequest,
  IdempotentUnaryRequestSchema,
  type ServerStreamRequest,
  ServerStreamRequestSchema,
  type StreamResponseDefinition,
  type UnaryRequest,
  UnaryRequestSchema,
  type UnaryResponseDefinition,
} from "../gen/connectrpc/conformance/v1/service_pb.ts";
import { addHeaders, toConnectError, toHeaderMessages } from "./wire-shapes.ts";

/** A call under way. */
interface Call {
  readonly context: HandlerContext;
  /** What was left of its timeout when it came. */
  readonly timeoutMs: number | undefined;
}

/** Every message that an Any of the suite may hold, for the JSON codec. */
const registry = createRegistry(
  ConformancePayload_RequestInfoSchema,
  UnaryRequestSchema,
  IdempotentUnaryRequestSchema,
  ServerStreamRequestSchema,
  ClientStreamRequestSchema,
  BidiStreamRequestSchema,
);

/** Adds the service to a router. */
export function routeConformance(router: ConnectRouter): void {
  router.service(
    ConformanceService,
    {
      unary: (request, context) => answerOne(request.responseDefinition, [pack(request)], begin(context)),
      idempotentUnary: (request, context) => answerOne(request.responseDefinition, [pack(request)], begin(context)),
      serverStream: (request, context) => answerMany(request.responseDefinition, [pack(request)], begin(context)),
      async clientStream(requests, context) {
        const call = begin(context);
        let definition: UnaryResponseDefinition | undefined;
        const received: Any[] = [];
        for await (const request of requests) {
          if (received.length === 0) definition = request.responseDefinition;
          received.push(pack(request));
        }
        return answerOne(definition, received, call);
      },
      bidiStream: answerBoth,
      // unimplemented: left out, as its name says.
    },
    { jsonOptions: { registry } },
  );
}

function begin(context: HandlerContext): Call {
  return { context, timeoutMs: context.timeoutMs() };
}

async function answerOne(definition: UnaryResponseDefinition | undefined, received: readonly Any[], call: Call) {
  announce(definition, call);
  if (definition !== undefined && definition.responseDelayMs > 0) await pause(definition.responseDelayMs);
  const info = describe(call, received);
  if (definition?.response.case === "error") throw withInfo(definition.response.value, info);
  const data = definition?.response.case === "responseData" ? definition.response.value : new Uint8Array();
  return { payload: { data, requestInfo: info } };
}

async function* answerMany(definition: StreamResponseDefinition | undefined, received: readonly Any[], call: Call) {
  if (definition === undefined) return;
  announce(definition, call);
  for (const [index, data] of definition.responseData.entries()) {
    if (definition.responseDelayMs > 0) await pause(definition.responseDelayMs);
    yield { payload: { data, ...(index === 0 && { requestInfo: describe(call, received) }) } };
  }
  fail(definition, definition.responseData.length, received, call);
}

async function* answerBoth(requests: AsyncIterable<BidiStreamRequest>, context: HandlerContext) {
  const call = begin(context);
  let first: BidiStreamRequest | undefined;
  let received: Any[] = [];
  let answered = 0;
  for await (const request of requests) {
    received.push(pack(request));
    first ??= request;
    if (!first.fullDuplex) continue;
    const { responseDefinition } = first;
    if (answered === 0) announce(responseDefinition, call);
    const data = responseDefinition?.responseData[answered];
    if (responseDefinition === undefined || data === undefined) break;
    if (responseDefinition.responseDelayMs > 0) await pause(responseDefinition.responseDelayMs);
    // What was received since the answer before; headers and timeout only once.
    const requestInfo = answered === 0 ? describe(call, received) : describeMessages(received);
    received = [];
    answered++;
    yield { payload: { data, requestInfo } };
  }
  const definition = first?.responseDefinition;
  if (definition === undefined) return;
  if (first?.fullDuplex !== true) {
    yield* answerMany(definition, received, call);
    return;
  }
  for (const data of definition.responseData.slice(answered)) {
    if (definition.responseDelayMs > 0) await pause(definition.responseDelayMs);
    answered++;
    yield { payload: { data } };
  }
  fail(definition, answered, received, call);
}

/** Sets the headers and the trailers that a definition asks for. */
function announce(definition: UnaryResponseDefinition | StreamResponseDefinition | undefined, call: Call): void {
  if (definition === undefined) return;
  addHeaders(call.context.responseHeader, definition.responseHeaders);
  addHeaders(call.context.responseTrailer, definition.responseTrailers);
}

/** Throws the error of a stream's definition, if it has one. */
function fail({ error }: StreamResponseDefinition, answered: number, received: readonly Any[], call: Call): void {
  if (error === undefined) return;
  throw answered === 0 ? withInfo(error, describe(call, received)) : toConnectError(error);
}

/** An error that carries what an answer would have repeated. */
function withInfo(error: ErrorMessage, info: ConformancePayload_RequestInfo) {
  const { typeUrl, value } = anyPack(ConformancePayload_RequestInfoSchema, info);
  const thrown = toConnectError(error);
  thrown.details.push({ type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1), value });
  return thrown;
}

function describe({ context, timeoutMs }: Call, received: readonly Any[]): ConformancePayload_RequestInfo {
  const isGet = context.requestMethod === "GET";
  return create(ConformancePayload_RequestInfoSchema, {
    requestHeaders: toHeaderMessages(context.requestHeader),
    requests: [...received],
    ...(timeoutMs !== undefined && { timeoutMs: BigInt(Math.round(timeoutMs)) }),
    ...(isGet && { connectGetInfo: { queryParams: toHeaderMessages(new URL(context.url).searchParams) } }),
  });
}

function describeMessages(received: readonly Any[]): ConformancePayload_RequestInfo {
  return create(ConformancePayload_RequestInfoSchema, { requests: [...received] });
}

type AnyRequest = UnaryRequest | IdempotentUnaryRequest | ServerStreamRequest | ClientStreamRequest | BidiStreamRequest;

function pack(request: AnyRequest): Any {
  const schema = registry.getMessage(request.$typeName);
  if (schema === undefined) throw new TypeError(`Cannot repeat ${request.$typeName} as it is no request`);
  return anyPack(schema, request as Message);
}
