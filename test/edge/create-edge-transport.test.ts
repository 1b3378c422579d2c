// Calls of an edge transport: where they go, what happens when an endpoint does not answer, and how long they last.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import type { CallOutcome, NewPicker } from "../../src/balancer/picker.ts";
import { callFate } from "../../src/core/call-fate.ts";
import { createEdgeTransport } from "../../src/edge/create-edge-transport.ts";
import type { EdgeTransportOptions } from "../../src/edge/edge-options.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { collect, createEchoFetch, lost, refused } from "../support/edge-fakes.ts";
import { rejection } from "../support/rejection.ts";

const startMs = 1_700_000_000_000;

/** A client over hosts that a fake fetch stands for. */
function open(hosts: readonly string[], options: Partial<EdgeTransportOptions> = {}) {
  const echo = createEchoFetch();
  const clock = createManualClock(startMs);
  const transport = createEdgeTransport({
    endpoints: hosts.map((host) => `http://${host}.test:1`),
    fetch: echo.fetch,
    useBinaryFormat: false,
    clock,
    ...options,
  });
  return { ...echo, clock, transport, client: createClient(EchoService, transport) };
}

describe("createEdgeTransport()", () => {
  test("sends nothing before the first call, then goes round the endpoints in strict turn", async () => {
    const { client, hosts } = open(["a", "b", "c"]);
    assert.deepEqual(hosts, []);
    await Promise.all(Array.from({ length: 9 }, () => client.unary({})));
    assert.equal(hosts.join(""), "abcabcabc");
  });

  test("gives fetch method, headers, body, signal and redirect, and nothing else", async () => {
    const { client, inits } = open(["a"], { useHttpGet: true });
    await client.unary({});
    await client.unaryIdempotent({});
    assert.deepEqual(
      inits.map((init) => Object.keys(init).sort()),
      [
        ["body", "headers", "method", "redirect", "signal"],
        ["headers", "method", "redirect", "signal"],
      ],
    );
    assert.deepEqual(
      inits.map(({ method, redirect }) => [method, redirect]),
      [
        ["POST", "manual"],
        ["GET", "manual"],
      ],
    );
  });

  test("calls the runtime's fetch late-bound, as a method of the global object", async () => {
    const transport = createEdgeTransport({ endpoints: ["http://a.test:1"], useBinaryFormat: false });
    const original = globalThis.fetch;
    let self: unknown;
    globalThis.fetch = function (this: unknown) {
      self = this;
      return Promise.resolve(Response.json({ server: "patched" }));
    } as typeof fetch;
    try {
      assert.equal((await createClient(EchoService, transport).unary({})).server, "patched");
    } finally {
      globalThis.fetch = original;
    }
    assert.equal(self, globalThis);
  });

  test("runs the user's interceptors once a call, however many attempts it takes, before an endpoint is picked", async () => {
    const seen: string[] = [];
    const note: Interceptor = (next) => async (request) => {
      seen.push(request.url);
      request.header.set("x-note", String(seen.length));
      return next(request);
    };
    const { client, down, inits } = open(["a", "b"], { interceptors: [note] });
    down.set("a", lost());
    await client.unaryIdempotent({});
    assert.equal(inits.length, 2);
    assert.deepEqual(
      inits.map(({ headers }) => (headers as Headers).get("x-note")),
      ["1", "1"],
    );
    assert.deepEqual(seen, ["http://balanced.invalid/lictor.test.v1.EchoService/UnaryIdempotent"]);
  });

  test("tells the balancer of every attempt once, with its error", async () => {
    const told: [string, CallOutcome][] = [];
    const balancer: NewPicker = (ready) => ({
      pick(exclude) {
        const endpoint = ready.find(({ id }) => !exclude?.has(id));
        return endpoint && { endpoint, done: (outcome) => void told.push([endpoint.id, outcome]) };
      },
    });
    const { client, down } = open(["a", "b"], { balancer });
    const failure = lost();
    down.set("a", failure);
    await client.unaryIdempotent({});
    assert.deepEqual(
      told.map(([id, { latencyMs }]) => [id, latencyMs]),
      [
        ["http://a.test:1", 0],
        ["http://b.test:1", 0],
      ],
    );
    assert.ok(told[0]?.[1].error instanceof ConnectError);
    assert.equal(told[0][1].error.cause, failure);
    assert.equal("error" in told[1]![1], false);
  });

  test("tells the balancer of a stream that is left by `break` when its signal aborts", async () => {
    const told: CallOutcome[] = [];
    const balancer: NewPicker = ([endpoint]) => ({
      pick: () => endpoint && { endpoint, done: (outcome) => void told.push(outcome) },
    });
    // One message by Connect's streaming protocol: flags, length, {"index":1}. Then nothing more.
    const message = new TextEncoder().encode('\0\0\0\0\x0b{"index":1}');
    const { client } = open(["a"], {
      balancer,
      fetch: async () =>
        new Response(new ReadableStream({ start: (controller) => controller.enqueue(message) }), {
          headers: { "Content-Type": "application/connect+json" },
        }),
    });
    const controller = new AbortController();
    for await (const { index } of client.serverStream({ count: 2 }, { signal: controller.signal })) {
      assert.equal(index, 1);
      break;
    }
    assert.equal(told.length, 0);
    controller.abort();
    assert.equal(told.length, 1);
    assert.ok(told[0]?.error !== undefined);
  });

  test("says what it knows without an endpoint in an empty list", async () => {
    const error = await rejection(open([]).client.unary({}));
    assert.equal(error.code, Code.Unavailable);
    assert.equal(error.rawMessage, "no instance to call: an empty static list lists none");
  });
});

describe("an attempt without an answer", () => {
  test("moves an idempotent call on, to each endpoint once, and avoids those that failed for 5 s", async () => {
    const { client, hosts, down, clock } = open(["a", "b", "c"]);
    down.set("a", lost()).set("b", lost());
    assert.equal((await client.unaryIdempotent({})).server, "c");
    for (let i = 0; i < 3; i++) await client.unaryIdempotent({});
    assert.equal(hosts.join(""), "abcccc");
    down.clear();
    await clock.advance(4999);
    await client.unaryIdempotent({});
    assert.equal(hosts.join(""), "abccccc");
    await clock.advance(1);
    for (let i = 0; i < 3; i++) await client.unaryIdempotent({});
    assert.equal(hosts.join(""), "abcccccabc");
  });

  test("fails a call that may have been processed, once, and avoids the endpoint", async () => {
    const { client, hosts, down } = open(["a", "b"]);
    down.set("a", lost());
    const error = await rejection(client.unary({}));
    assert.equal(error.code, Code.Unavailable);
    assert.equal(error.rawMessage, "no answer from http://a.test:1: fetch failed: the connection was lost");
    assert.equal(callFate(error), "maybe-processed");
    for (let i = 0; i < 3; i++) await client.unary({});
    assert.equal(hosts.join(""), "abbb");
  });

  test("moves any call on where the failure proves that no connection was made", async () => {
    const { client, hosts, down } = open(["a", "b"]);
    down.set("a", refused());
    assert.equal((await client.unary({})).server, "b");
    assert.equal(hosts.join(""), "ab");
    down.set("b", refused());
    const error = await rejection(client.unary({}));
    assert.match(error.rawMessage, /^none of 2 endpoints tried of the static list .* has answered, the last one: /);
    assert.equal(callFate(error), "unprocessed");
  });

  test("does not count as unprocessed where one of several attempts may have been", async () => {
    const { client, down } = open(["a", "b"]);
    down.set("a", refused()).set("b", lost());
    assert.equal(callFate(await rejection(client.unary({}))), "maybe-processed");
    assert.equal(callFate(await rejection(client.unaryIdempotent({}))), "maybe-processed");
    const turned = open(["a", "b"]);
    turned.down.set("a", lost()).set("b", refused());
    assert.equal(callFate(await rejection(turned.client.unaryIdempotent({}))), "maybe-processed");
    assert.equal(turned.hosts.join(""), "ab");
  });

  test("is made at five endpoints a call at most, and the next call begins with others", async () => {
    const names = Array.from({ length: 40 }, (_, index) => `h${10 + index}`);
    const { client, hosts, down } = open(names);
    for (const name of names) down.set(name, refused());
    for (const call of [client.unary({}), collect(client.serverStream({ count: 1 }))]) {
      const error = await rejection(call as Promise<unknown>);
      assert.match(error.rawMessage, /^none of 5 endpoints tried of /);
      assert.equal(callFate(error), "unprocessed");
    }
    assert.deepEqual([hosts.length, new Set(hosts).size], [10, 10]);
  });

  test("is not made again at an endpoint by a picker that does not heed what it must not pick", {
    timeout: 5000,
  }, async () => {
    const told: unknown[] = [];
    let picks = 0;
    const stubborn: NewPicker = ([first]) => ({
      pick() {
        picks++;
        return first && { endpoint: first, done: ({ error }) => void told.push(error) };
      },
    });
    const { client, hosts, down } = open(["a", "b"], { balancer: stubborn });
    down.set("a", refused());
    const error = await rejection(client.unary({}));
    assert.match(error.rawMessage, /^no answer from http:\/\/a\.test:1: /);
    assert.equal(hosts.join(""), "a");
    assert.equal(told.length, picks, "every pick is told how it ended");
    assert.ok(told.every((one) => one instanceof ConnectError));
  });

  test("is remembered against its endpoint no longer where the clock is set back", async () => {
    let offsetMs = 0;
    const clock = createManualClock(startMs);
    const { client, hosts, down } = open(["a", "b"], { clock: { ...clock, now: () => clock.now() + offsetMs } });
    down.set("a", lost());
    await client.unaryIdempotent({});
    await client.unaryIdempotent({});
    assert.equal(hosts.join(""), "abb");
    offsetMs = -1;
    await client.unaryIdempotent({});
    assert.equal(hosts.join(""), "abbab");
  });

  test("uses an endpoint that is avoided where there is no other, and believes it again when it answers", async () => {
    const { client, hosts, down } = open(["a", "b"]);
    down.set("a", lost()).set("b", lost());
    await rejection(client.unaryIdempotent({}));
    down.delete("b");
    assert.equal((await client.unaryIdempotent({})).server, "b");
    await client.unaryIdempotent({});
    assert.equal(hosts.join(""), "ababb");
  });

  test("is nobody's fault where the caller has aborted: nothing is tried or avoided", async () => {
    const controller = new AbortController();
    const echo = createEchoFetch();
    const { client } = open(["a", "b"], {
      fetch: async (url, init) => {
        if (echo.hosts.length > 0) return echo.fetch(url, init);
        await echo.fetch(url, init);
        controller.abort();
        throw lost();
      },
    });
    const error = await rejection(client.unaryIdempotent({}, { signal: controller.signal }));
    assert.equal(error.code, Code.Canceled);
    for (let i = 0; i < 2; i++) await client.unary({});
    assert.equal(echo.hosts.join(""), "aba");
  });

  test("moves a stream on before its headers, with the same request", async () => {
    const bodies: unknown[] = [];
    const { client } = open(["a", "b"], {
      fetch: async (_url, { body }) => {
        bodies.push(body);
        throw bodies.length === 1 ? refused() : lost();
      },
    });
    const error = await rejection(collect(client.serverStream({ text: "same", count: 2 })));
    assert.equal(error.code, Code.Unavailable);
    assert.equal(bodies.length, 2);
    assert.deepEqual(bodies[0], bodies[1]);
    assert.match(new TextDecoder().decode(bodies[1] as Uint8Array), /"text":"same"/);
  });
});

describe("an answer with an error", () => {
  test("is the call's, whatever its code: nothing is sent again", async () => {
    let calls = 0;
    const { client } = open(["a", "b"], {
      fetch: async () => {
        calls++;
        return Response.json({ code: "unavailable", message: "draining" }, { status: 503 });
      },
    });
    const error = await rejection(client.unaryIdempotent({}));
    assert.deepEqual([error.code, error.rawMessage, calls], [Code.Unavailable, "draining", 1]);
  });

  for (const [what, answer, code, message] of [
    [
      "a page",
      () => new Response("<h1>Not found</h1>", { status: 404, headers: { "Content-Type": "text/html" } }),
      Code.Unimplemented,
      /^HTTP 404: http:\/\/a\.test:1 did not answer as a Connect or gRPC-Web server does$/,
    ],
    [
      "another API's JSON",
      () => Response.json({ error: "no" }, { status: 404 }),
      Code.Unimplemented,
      /^.*: http:\/\/a\.test:1 did not/,
    ],
    [
      "a page with 200",
      () => new Response("<h1>Hi</h1>", { headers: { "Content-Type": "text/html" } }),
      Code.Unknown,
      /text\/html: http:\/\/a\.test:1 did not/,
    ],
    [
      "a gateway's 503",
      () => new Response("busy", { status: 503 }),
      Code.Unavailable,
      /^HTTP 503: http:\/\/a\.test:1 did not/,
    ],
    [
      "a redirect",
      () => new Response(null, { status: 302, headers: { Location: "https://b.test" } }),
      Code.Unknown,
      /redirect, which is not followed: http:\/\/a\.test:1 did not/,
    ],
    ["nothing", () => new Response(null, { status: 204 }), Code.Unknown, /^HTTP 204: http:\/\/a\.test:1 did not/],
  ] as const) {
    test(`that is ${what} keeps its code and names the endpoint`, async () => {
      const { client, hosts } = open(["a"], { fetch: async () => answer() });
      const error = await rejection(client.unaryIdempotent({}));
      assert.equal(error.code, code);
      assert.match(error.rawMessage, message);
      assert.deepEqual(hosts, []);
    });
  }
});

test("the body of a redirect is given up", async () => {
  const { promise: canceled, resolve } = Promise.withResolvers<void>();
  const { client } = open(["a"], {
    fetch: async () => new Response(new ReadableStream({ cancel: () => resolve() }), { status: 302 }),
  });
  await rejection(client.unary({}));
  await canceled;
});

describe("a deadline", () => {
  test("covers all attempts, and each tells its server what is left", async () => {
    const clock = createManualClock(startMs);
    const echo = createEchoFetch();
    echo.down.set("a", lost()).set("b", lost());
    const { client } = open(["a", "b", "c"], {
      defaultTimeoutMs: 5000,
      clock,
      fetch: async (url, init) => {
        await clock.advance(1200);
        return echo.fetch(url, init);
      },
    });
    assert.equal((await client.unaryIdempotent({})).server, "c");
    assert.deepEqual(
      echo.inits.map(({ headers }) => (headers as Headers).get("Connect-Timeout-Ms")),
      ["5000", "3800", "2600"],
    );
  });

  test("ends a call whose fetch does not heed its signal", async () => {
    const { client } = open(["a", "b"], { fetch: () => new Promise(() => {}) });
    const error = await rejection(client.unaryIdempotent({}, { timeoutMs: 20 }));
    assert.deepEqual([error.code, error.rawMessage], [Code.DeadlineExceeded, "the operation timed out"]);
  });

  test("of the longest kind fits the digits of gRPC-Web's header", async () => {
    const { client, inits } = open(["a"], { protocol: "grpc-web", useBinaryFormat: true });
    await client.unary({}, { timeoutMs: 1e12 }).catch(() => {});
    assert.equal(new Headers(inits[0]?.headers).get("Grpc-Timeout"), "2147483S");
  });

  for (const timeoutMs of [2 ** 31, 1e12, Number.POSITIVE_INFINITY]) {
    test(`of ${timeoutMs} ms is the longest that timers can wait for`, async () => {
      const { client, inits } = open(["a"]);
      assert.equal((await client.unary({}, { timeoutMs })).server, "a");
      assert.equal(new Headers(inits[0]?.headers).get("Connect-Timeout-Ms"), "2147483647");
      const error = await rejection(collect(client.serverStream({}, { timeoutMs })));
      assert.notEqual(error.code, Code.DeadlineExceeded, error.message);
    });
  }

  test("that is no number is refused before anything is sent", async () => {
    const { client, hosts } = open(["a"]);
    for (const call of [
      client.unary({}, { timeoutMs: Number.NaN }),
      collect(client.serverStream({}, { timeoutMs: Number.NaN })),
    ]) {
      const error = await rejection(call as Promise<unknown>);
      assert.equal(error.code, Code.InvalidArgument);
    }
    assert.deepEqual(hosts, []);
  });

  test("of the call comes before the transport's, and 0 means none", async () => {
    const { client, inits } = open(["a"], { defaultTimeoutMs: 5000 });
    await client.unary({}, { timeoutMs: 70 });
    await client.unary({}, { timeoutMs: 0 });
    await client.unary({});
    assert.deepEqual(
      inits.map(({ headers }) => (headers as Headers).get("Connect-Timeout-Ms")),
      ["70", null, "5000"],
    );
  });
});

describe("what fetch cannot do", () => {
  for (const kind of ["clientStream", "bidi"] as const) {
    test(`${kind} fails as unimplemented before anything is asked for or sent`, async () => {
      const { client, hosts, transport } = open(["a"]);
      let isRead = false;
      async function* messages() {
        isRead = true;
        yield { text: "x" };
      }
      const call = kind === "bidi" ? collect(client.bidi(messages())) : client.clientStream(messages());
      const error = await rejection(call as Promise<unknown>);
      assert.equal(error.code, Code.Unimplemented);
      assert.match(
        error.rawMessage,
        /^Cannot call lictor\.test\.v1\.EchoService\/\w+ over fetch as it streams its requests/,
      );
      assert.deepEqual([isRead, hosts.length, transport.discovery().endpoints.length], [false, 0, 1]);
    });
  }
});
