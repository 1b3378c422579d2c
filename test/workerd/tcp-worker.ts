// The Worker of the tests of lictor/edge/tcp: each request says what is called, how often, and over what: sockets of its own, or the sessions
// of a Durable Object. The answer tells what became of it.

import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { sleep, systemClock } from "../../src/core/clock.ts";
import { createSnapshotCache } from "../../src/edge.ts";
import {
  createEdgeTcpTransport,
  createSessionObjectTransport,
  type EdgeTcpTransportOptions,
  grpcSessionObject,
  gzip,
  type SessionObjectClass,
  type SessionObjectOptions,
  type SessionObjectStub,
} from "../../src/edge-tcp.ts";
import { EchoService, UnaryRequestSchema } from "../gen/lictor/test/v1/echo_pb.ts";
import { watchIterable } from "../support/watched-source.ts";

/** What a test binds. */
export interface Env {
  /** Options of the transport that are plain data. */
  readonly OPTIONS?: Partial<EdgeTcpTransportOptions>;
  /** Options of the object that are plain data. */
  readonly OBJECT_OPTIONS?: Partial<SessionObjectOptions>;
  readonly SESSIONS?: { getByName(name: string): SessionObjectStub };
}

/** How one call ended. */
export interface TcpCallReport {
  readonly server?: string;
  /** Texts of the answers, in order. */
  readonly texts: readonly string[];
  /** Bytes of the payload that came back as they were sent; -1 where they did not. */
  readonly payloadBytes?: number;
  readonly header: Readonly<Record<string, string>>;
  readonly trailer: Readonly<Record<string, string>>;
  readonly error?: {
    readonly code: string;
    readonly message: string;
    readonly metadata: Readonly<Record<string, string>>;
    /** Texts of the details, which are UnaryRequests. */
    readonly details: readonly string[];
  };
  readonly tookMs: number;
}

const cache = createSnapshotCache();

export const Sessions: SessionObjectClass<Env> = grpcSessionObject<Env>((env) => ({
  sendCompression: gzip,
  compressMinBytes: 100_000,
  ...env.OBJECT_OPTIONS,
}));

// biome-ignore lint/style/noDefaultExport: workerd calls the default export
export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const { searchParams: query, pathname } = new URL(request.url);
    const name = query.get("object");
    if (name !== null) {
      const stub = env.SESSIONS?.getByName(name);
      if (stub === undefined) throw new TypeError("no binding SESSIONS");
      return Response.json(await callAll(createSessionObjectTransport(stub), pathname, query));
    }
    const zipped = query.has("gzip") ? { sendCompression: gzip, compressMinBytes: 0 } : {};
    await using transport = createEdgeTcpTransport({ cache, ...zipped, ...env.OPTIONS });
    return Response.json(await callAll(transport, pathname, query));
  },
};

async function callAll(transport: Transport, path: string, query: URLSearchParams): Promise<TcpCallReport[]> {
  const number = (name: string, fallback = 0) => Number(query.get(name) ?? fallback);
  const reports: TcpCallReport[] = [];
  for (let round = 0; round < number("times", 1); round++) {
    const calls = Array.from({ length: number("parallel", 1) }, () => callOnce(transport, path, query));
    reports.push(...(await Promise.all(calls)));
    if (round + 1 < number("times", 1)) await new Promise((resolve) => setTimeout(resolve, number("everyMs")));
  }
  return reports;
}

async function callOnce(transport: Transport, path: string, query: URLSearchParams): Promise<TcpCallReport> {
  const number = (name: string) => Number(query.get(name) ?? 0);
  const client = createClient(EchoService, transport);
  const controller = new AbortController();
  const report = { texts: [] as string[], header: {}, trailer: {}, server: "" };
  const text = query.get("text") ?? "";
  const orders = { text, delayMs: number("delayMs"), failCode: number("failCode"), count: number("count") };
  const options = {
    signal: controller.signal,
    headers: { "x-echo": text, "x-echo-bin": btoa(text) },
    onHeader: (headers: Headers) => {
      report.header = Object.fromEntries(headers);
    },
    onTrailer: (trailers: Headers) => {
      report.trailer = Object.fromEntries(trailers);
    },
    ...(query.has("timeoutMs") && { timeoutMs: number("timeoutMs") }),
  };
  if (number("abortAfterMs") > 0) setTimeout(() => controller.abort(), number("abortAfterMs"));
  const startMs = Date.now();
  const take = ({ text, server }: { readonly text: string; readonly server: string }) => {
    report.texts.push(text);
    report.server = server;
    if (report.texts.length === number("abortAfter")) controller.abort();
  };
  async function* requests() {
    for (let index = 0; index < number("count"); index++) yield { text: `${text}${index}`, delayMs: number("delayMs") };
  }
  try {
    switch (path) {
      case "/unary": {
        const payload = crypto.getRandomValues(new Uint8Array(Math.min(number("bytes"), 65_536)));
        const whole = new Uint8Array(number("bytes"));
        for (let at = 0; at < whole.length; at += payload.length) whole.set(payload.subarray(0, whole.length - at), at);
        const response = await client.unary({ ...orders, payload: whole }, options);
        take(response);
        const isSame = response.payload.every((byte, at) => byte === whole[at]);
        Object.assign(report, { payloadBytes: isSame ? response.payload.length : -1 });
        break;
      }
      case "/idempotent":
        take(await client.unaryIdempotent(orders, options));
        break;
      case "/serverStream":
        for await (const message of client.serverStream(orders, options)) take(message);
        break;
      case "/clientStream":
        take(await client.clientStream(requests(), options));
        break;
      case "/bidi":
        for await (const message of client.bidi(requests(), options)) take(message);
        break;
      case "/pingPong":
        await pingPong(number("count"), (messages) => client.bidi(messages, options), take);
        break;
      case "/endless": {
        // Who gives messages without end is told of the call's end.
        const source = watchIterable({ text, failCode: orders.failCode });
        try {
          for await (const message of client.bidi(source.messages, options)) take(message);
        } finally {
          for (let waits = 0; waits < 200 && !source.wasEnded; waits++) await sleep(5, systemClock);
          report.texts.push(source.wasEnded ? "ended" : "not ended");
        }
        break;
      }
      case "/leave":
        for await (const message of client.serverStream(orders, options)) {
          take(message);
          break;
        }
        break;
      default:
        throw new TypeError(`no call ${path}`);
    }
    return { ...report, tookMs: Date.now() - startMs };
  } catch (thrown) {
    const error = ConnectError.from(thrown);
    return {
      ...report,
      error: {
        code: Code[error.code],
        message: error.rawMessage,
        metadata: Object.fromEntries(error.metadata),
        details: error.findDetails(UnaryRequestSchema).map((detail) => detail.text),
      },
      tookMs: Date.now() - startMs,
    };
  }
}

/** Sends each message only when the one before was answered: whoever gathers messages hangs here. */
async function pingPong<M>(
  count: number,
  call: (messages: AsyncIterable<{ text: string }>) => AsyncIterable<M>,
  take: (message: M) => void,
): Promise<void> {
  let answer = Promise.withResolvers<void>();
  async function* messages() {
    for (let index = 0; index < count; index++) {
      answer = Promise.withResolvers();
      yield { text: String(index) };
      await answer.promise;
    }
  }
  for await (const message of call(messages())) {
    take(message);
    answer.resolve();
  }
}
