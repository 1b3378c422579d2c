// The object that keeps sessions and the transport that calls through it, with the object beside the Worker: what passes between them, and
// what the object keeps.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type CallOptions, Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import type { SessionObjectStub } from "../../src/edge/tcp/session-object/ask-object.ts";
import { grpcSessionObject, type SessionObjectOptions } from "../../src/edge/tcp/session-object/grpc-session-object.ts";
import { IdleTransport } from "../../src/edge/tcp/session-object/idle-transport.ts";
import {
  createSessionObjectTransport,
  type SessionObjectTransportOptions,
} from "../../src/edge/tcp/session-object/session-object-transport.ts";
import { someEndpoints } from "../../src/edge/tcp/session-object/some-endpoints.ts";
import { endOfMessages, kindHeader, wireType, writeFrames } from "../../src/edge/tcp/session-object/wire.ts";
import { serve } from "../../src/server/serve.ts";
import type { Server } from "../../src/server/server.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";
import type { BalancedTransport } from "../../src/transport/balanced-transport.ts";
import {
  BidiRequestSchema,
  EchoService,
  ServerStreamRequestSchema,
  UnaryRequestSchema,
} from "../gen/lictor/test/v1/echo_pb.ts";
import { createEchoService } from "../support/echo-service.ts";
import { createHandResolver, endpoint } from "../support/endpoints.ts";
import { until } from "../support/eventually.ts";
import { rejection } from "../support/rejection.ts";
import { connectByNode } from "../support/tcp-sockets.ts";
import { watchGenerator, watchIterable } from "../support/watched-source.ts";

/** A stub of an object that lives here. */
function stubOf(options: () => Partial<SessionObjectOptions>, name = "hello"): SessionObjectStub & { calls: number } {
  const Sessions = grpcSessionObject(() => ({ connect: connectByNode, ...options() }));
  const object = new Sessions({ id: { name } }, {});
  const stub = {
    name,
    calls: 0,
    async fetch(url: string, init: RequestInit) {
      stub.calls++;
      // A stub's fetch ends with its signal, whatever the object does.
      const { signal } = init;
      const aborted = new Promise<never>((_, reject) => {
        signal?.addEventListener("abort", () => reject(signal.reason));
      });
      aborted.catch(() => {});
      return Promise.race([object.fetch(new Request(url, init)), aborted]);
    },
  };
  return stub;
}

const withDetails: Interceptor = (next) => (request) =>
  next(request).catch((thrown) => {
    const error = ConnectError.from(thrown);
    error.details.push({ desc: UnaryRequestSchema, value: { text: "why", payload: new Uint8Array([1, 2]) } });
    throw error;
  });

async function readAll(messages: AsyncIterable<unknown>): Promise<void> {
  for await (const _message of messages);
}

async function* texts(...given: string[]) {
  for (const text of given) yield { text };
}

describe("grpcSessionObject() and createSessionObjectTransport()", () => {
  const signals: AbortSignal[] = [];
  let server: Server;
  let url = "";
  let stub: ReturnType<typeof stubOf>;
  before(async () => {
    const onCall = (_method: string, signal: AbortSignal) => void signals.push(signal);
    server = serve({ routes: createEchoService({ server: "a", onCall }), interceptors: [withDetails] });
    url = `http://127.0.0.1:${(await server.ready).port}`;
    stub = stubOf(() => ({ endpoints: [url], idleMs: 200 }));
  });
  after(async () => {
    // The object's connections go when it has been idle.
    await server.close();
  });
  const open = (options: SessionObjectTransportOptions = {}) =>
    createClient(EchoService, createSessionObjectTransport(stub, options));

  test("calls of every kind pass, with fields that the object does not know", async () => {
    const client = open();
    const payload = crypto.getRandomValues(new Uint8Array(50_000));
    const answer = await client.unary({ text: "é", payload, delayMs: 1 });
    assert.deepEqual([answer.text, answer.server], ["é", "a"]);
    assert.deepEqual(answer.payload, payload);
    const streamed: string[] = [];
    for await (const { text, index } of client.serverStream({ text: "s", count: 3 })) streamed.push(text + index);
    for await (const { text, index } of client.bidi(texts("x", "y"))) streamed.push(text + index);
    assert.deepEqual(streamed, ["s0", "s1", "s2", "x0", "y1"]);
    const { text, count } = await client.clientStream(texts("x", "y", "z"));
    assert.deepEqual([text, count], ["x,y,z", 3]);
    assert.equal((await client.clientStream(texts())).count, 0);
  });

  test("metadata passes both ways, and none that is HTTP's or the protocol's", async () => {
    let header = new Headers();
    let trailer = new Headers();
    await open().unary(
      { text: "t" },
      {
        headers: { "x-echo": "world, 1" },
        onHeader: (headers) => {
          header = headers;
        },
        onTrailer: (trailers) => {
          trailer = trailers;
        },
      },
    );
    assert.deepEqual([header.get("x-echo-header"), trailer.get("x-echo-trailer")], ["world, 1", "world, 1"]);
    assert.deepEqual([...header.keys()].sort(), ["x-echo-header"]);
  });

  test("errors pass with code, text, metadata and details, whatever the kind", async () => {
    const client = open();
    const error = await rejection(client.unary({ failCode: Code.DataLoss }));
    assert.deepEqual([error.code, error.rawMessage], [Code.DataLoss, "asked to fail"]);
    assert.equal(error.metadata.get("x-echo-error"), "yes");
    const [detail] = error.findDetails(UnaryRequestSchema);
    assert.deepEqual([detail?.text, detail?.payload], ["why", new Uint8Array([1, 2])]);
    const texts: string[] = [];
    const broken = await rejection(
      (async () => {
        for await (const { text } of client.serverStream({ text: "s", count: 2, failCode: Code.Aborted }))
          texts.push(text);
      })(),
    );
    assert.deepEqual([texts, broken.code, broken.metadata.get("x-echo-error")], [["s", "s"], Code.Aborted, "yes"]);
  });

  test("a deadline and an abort end the call at the server", async () => {
    const before = signals.length;
    const late = await rejection(open({ defaultTimeoutMs: 100 }).unary({ delayMs: 20_000 }));
    assert.equal(late.code, Code.DeadlineExceeded);
    await until(() => signals[before]?.aborted === true);
    const controller = new AbortController();
    const asked = rejection(open().unary({ delayMs: 20_000 }, { signal: controller.signal }));
    await until(() => signals.length === before + 2);
    controller.abort();
    assert.equal((await asked).code, Code.Canceled);
    await until(() => signals[before + 1]?.aborted === true);
  });

  for (const end of ["close", "error"] as const) {
    test(`a caller whose request is over without a word ends its calls (${end})`, async () => {
      for (const kind of ["unary", "stream"]) {
        const before = signals.length;
        let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
        const body = new ReadableStream<Uint8Array>({
          start(given) {
            controller = given;
            const message = toBinary(
              ServerStreamRequestSchema,
              create(ServerStreamRequestSchema, { count: 1, delayMs: 20_000 }),
            );
            const unary = toBinary(UnaryRequestSchema, create(UnaryRequestSchema, { delayMs: 20_000 }));
            given.enqueue(writeFrames({ bytes: kind === "unary" ? unary : message, isLast: false }, endOfMessages));
          },
        });
        const method = kind === "unary" ? "Unary" : "ServerStream";
        const headers = { "content-type": wireType, [kindHeader]: kind };
        const init = { method: "POST", headers, body, duplex: "half" };
        const asked = stub.fetch(`https://object.invalid/lictor.test.v1.EchoService/${method}`, init);
        await until(() => signals.length === before + 1);
        if (end === "close") controller?.close();
        else controller?.error(new Error("the client has disconnected"));
        await until(() => signals[before]?.aborted === true);
        assert.match(await (await asked).text(), /grpc-status: 1\n/);
      }
    });
  }

  for (const [kind, watch] of [
    ["a generator", watchGenerator],
    ["an iterable that is opened anew", watchIterable],
  ] as const) {
    test(`the caller's messages, out of ${kind}, end with the call`, async () => {
      const early = serve({
        routes: (router) => router.service(EchoService, { clientStream: async () => ({ text: "early" }) }),
      });
      const port = (await early.ready).port;
      try {
        const sessions = stubOf(() => ({ endpoints: [`http://127.0.0.1:${port}`], idleMs: 50 }));
        const source = watch({ text: "x" });
        const { text } = await createClient(EchoService, createSessionObjectTransport(sessions)).clientStream(
          source.messages,
        );
        assert.equal(text, "early");
        await until(() => source.wasEnded);
      } finally {
        await early.close();
      }

      const controller = new AbortController();
      const ends: readonly [code: Code, message: MessageInitShape<typeof BidiRequestSchema>, options: CallOptions][] = [
        [Code.Aborted, { failCode: Code.Aborted }, {}],
        [Code.ResourceExhausted, { text: "x".repeat(5 * 1024 * 1024) }, {}],
        [Code.DeadlineExceeded, { delayMs: 20_000 }, { timeoutMs: 100 }],
        [Code.Canceled, { delayMs: 20_000 }, { signal: controller.signal }],
      ];
      for (const [code, message, options] of ends) {
        const source = watch(message);
        const failed = rejection(readAll(open().bidi(source.messages, options)));
        await until(() => source.asked > 0);
        if (code === Code.Canceled) controller.abort();
        assert.equal((await failed).code, code);
        await until(() => source.wasEnded);
      }

      const unreachable = createSessionObjectTransport({ fetch: () => Promise.reject(new Error("gone")) });
      const source = watch({ text: "x" });
      await rejection(createClient(EchoService, unreachable).clientStream(source.messages));
      assert.equal(source.asked, 0);
    });
  }

  test("the caller's messages that fail are what the call fails with, and the server is told", async () => {
    for (const text of ["in the end", "at once"]) {
      const before = signals.length;
      async function* broken() {
        if (text === "in the end") {
          yield { text: "x" };
          await until(() => signals.length === before + 1);
        }
        throw new RangeError(text);
      }
      const error = await rejection(readAll(open().bidi(broken())));
      assert.deepEqual([error.code, error.rawMessage], [Code.Unknown, text]);
      if (text === "in the end") await until(() => signals[before]?.aborted === true);
    }
  });

  test("a call that ends while the caller still sends ends as the server or the deadline has it", async () => {
    for (const [message, timeout, status] of [
      [{ delayMs: 20_000 }, "100m", 4],
      [{ failCode: Code.Aborted }, "20S", Code.Aborted],
    ] as const) {
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          const bytes = toBinary(BidiRequestSchema, create(BidiRequestSchema, message));
          controller.enqueue(writeFrames({ bytes, isLast: false }));
        },
      });
      const headers = { "content-type": wireType, [kindHeader]: "stream", "grpc-timeout": timeout };
      const init = { method: "POST", headers, body, duplex: "half" };
      const response = await stub.fetch("https://object.invalid/lictor.test.v1.EchoService/Bidi", init);
      assert.match(await response.text(), new RegExp(`grpc-status: ${status}\n`));
    }
  });

  test("a message above the limit of either side fails", async () => {
    const large = { payload: new Uint8Array(5000) };
    const error = await rejection(open({ maxReceiveBytes: 4000 }).unary(large));
    assert.equal(error.code, Code.ResourceExhausted);
    const small = stubOf(() => ({ endpoints: [url], maxReceiveBytes: 4000, idleMs: 100 }));
    const client = createClient(EchoService, createSessionObjectTransport(small));
    assert.equal((await rejection(client.unary(large))).code, Code.ResourceExhausted);
  });

  test("an object that cannot be reached, or is another, is told from a server that fails", async () => {
    const transport = createSessionObjectTransport({
      name: "gone",
      fetch: () => Promise.reject(new Error("Network connection lost.")),
    });
    const lost = await rejection(createClient(EchoService, transport).unary({}));
    assert.deepEqual(
      [lost.code, lost.rawMessage],
      [Code.Unavailable, 'no answer from the Durable Object "gone": Network connection lost.'],
    );
    const other = createSessionObjectTransport({ fetch: async () => new Response("what?", { status: 404 }) });
    const foreign = await rejection(createClient(EchoService, other).unary({}));
    assert.deepEqual([foreign.code, foreign.rawMessage], [Code.Unknown, "the Durable Object answered 404: what?"]);
  });

  test("the object refuses what is no call of its transport", async () => {
    for (const init of [{}, { method: "POST", body: "{}", headers: { "content-type": "application/json" } }]) {
      assert.equal((await stub.fetch("https://object.invalid/a.B/C", init)).status, 415);
    }
    const headers = { "content-type": wireType };
    const response = await stub.fetch("https://object.invalid/nothing", { method: "POST", headers, body: "" });
    assert.match(await response.text(), /grpc-status: 12\n/);
  });

  test("options that are no good fail every call, without what the user's function has thrown", async () => {
    const cases: readonly [() => Partial<SessionObjectOptions>, RegExp][] = [
      [() => ({}), /either "service" or "target", or else "endpoints"/],
      [() => ({ endpoints: [], service: "x" }), /either "service" or "target", or else "endpoints"/],
      [() => ({ endpoints: [], idleMs: 0 }), /"idleMs" must be > 0: received 0/],
      [() => ({ endpoints: [], maxConnections: 0 }), /"maxConnections" must be an integer of at least 1/],
      [() => ({ endpoints: [], connectTimeoutMs: -1 }), /"connectTimeoutMs"/],
      [() => ({ endpoints: [], settleMs: -1 }), /"settleMs"/],
      [() => ({ service: "x", consul: "ftp://nowhere" }), /^Cannot /],
      [
        () => {
          throw new RangeError("s3cret");
        },
        /^The options of the sessions cannot be had: RangeError$/,
      ],
    ];
    for (const [options, message] of cases) {
      const client = createClient(EchoService, createSessionObjectTransport(stubOf(options)));
      const error = await rejection(client.unary({}));
      assert.equal(error.code, Code.FailedPrecondition);
      assert.match(error.rawMessage, message);
    }
    assert.throws(() => grpcSessionObject(undefined as never), /"options" must be a function: received undefined/);
    assert.throws(() => createSessionObjectTransport(stub, { maxReceiveBytes: 0 }), RangeError);
    assert.throws(() => createSessionObjectTransport(stub, { defaultTimeoutMs: -1 }), RangeError);
  });
});

test("IdleTransport is opened by a call, kept while there are calls, and closed after", async () => {
  const clock = createManualClock();
  let opened = 0;
  let closed = 0;
  const open = () => {
    opened++;
    return { close: async () => void closed++ } as unknown as BalancedTransport;
  };
  const idle = new IdleTransport({ open, idleMs: 1000, clock });
  assert.equal(opened, 0);
  const first = idle.enter();
  await clock.advance(5000);
  assert.equal(idle.enter(), first);
  idle.leave();
  idle.leave();
  await clock.advance(999);
  assert.deepEqual([opened, closed], [1, 0]);
  idle.enter();
  idle.leave();
  await clock.advance(999);
  assert.equal(closed, 0);
  await clock.advance(1);
  assert.deepEqual([opened, closed], [1, 1]);
  assert.notEqual(idle.enter(), first);
  assert.deepEqual([opened, closed], [2, 1]);
});

test("someEndpoints() shows a few, the same ones while they are there, others to other names", () => {
  const endpoints = Array.from({ length: 20 }, (_, index) => endpoint(`e${String(index).padStart(2, "0")}`));
  const shown = (seed: string, list = endpoints) => {
    const resolver = createHandResolver(list);
    let ids: string[] = [];
    const stop = someEndpoints(resolver, 5, seed).subscribe({
      onSnapshot: (snapshot) => {
        ids = snapshot.endpoints.map(({ id }) => id);
      },
      onError() {},
    });
    stop();
    return ids;
  };
  const before = shown("a");
  assert.equal(before.length, 5);
  assert.deepEqual(before, [...before].sort());
  assert.deepEqual(shown("a"), before);
  const without = shown(
    "a",
    endpoints.filter(({ id }) => id !== before[2]),
  );
  assert.equal(without.filter((id) => before.includes(id)).length, 4);
  const counts = new Map<string, number>();
  for (let object = 0; object < 400; object++) {
    for (const id of shown(`object ${object}`)) counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  // 100 each, give or take four standard deviations.
  assert.equal(counts.size, 20);
  for (const [id, count] of counts) assert.ok(count > 60 && count < 140, `${id}: ${count}`);
  assert.deepEqual(shown("a", endpoints.slice(0, 3)), ["e00", "e01", "e02"]);
});
