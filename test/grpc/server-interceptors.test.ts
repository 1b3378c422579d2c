// The user's interceptors around calls on the server's own path: they see what Connect shows them.

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  createContextKey,
  type HandlerContext,
  type Interceptor,
  type ServiceImpl,
} from "@connectrpc/connect";
import { BidiRequestSchema, EchoService, UnaryResponseSchema } from "../gen/lictor/test/v1/echo_pb.ts";
import { createGrpcPair, type GrpcPair, type PairCall } from "../support/echo-grpc.ts";
import { createEchoService } from "../support/echo-service.ts";
import { eventually } from "../support/eventually.ts";
import { grpcFrame } from "../support/http2-call.ts";

const service = "/lictor.test.v1.EchoService";
const { unary, serverStream, clientStream, bidi } = EchoService.method;

/** All requests of EchoService begin with their text. */
const text = (value: string): Uint8Array =>
  grpcFrame(toBinary(BidiRequestSchema, create(BidiRequestSchema, { text: value })));

function serveWith(interceptors: Interceptor[], implementation?: Partial<ServiceImpl<typeof EchoService>>): GrpcPair {
  return createGrpcPair({
    interceptors,
    routes:
      implementation === undefined ? createEchoService() : (router) => router.service(EchoService, implementation),
  });
}

async function ended(pair: GrpcPair, call: PairCall): Promise<PairCall> {
  await eventually("the end of the call", async () => {
    await pair.settle();
    return call.heard.ended;
  });
  return call;
}

const callUnary = (pair: GrpcPair, fields: readonly string[] = []): Promise<PairCall> =>
  ended(pair, pair.open(`${service}/Unary`, { body: text("x"), fields }));

describe("an interceptor of unary calls", () => {
  test("sees the request and the answer, outermost first", async () => {
    const order: string[] = [];
    let seen: Record<string, unknown> = {};
    const pair = serveWith([
      (next) => async (request) => {
        order.push("outer");
        assert.equal(request.stream, false);
        const { service: asked, method, requestMethod, url, message, header, signal } = request;
        seen = { asked, method, requestMethod, url, message, echo: header.get("x-echo"), aborted: signal.aborted };
        const response = await next(request);
        order.push("after");
        assert.equal(response.stream, false);
        seen.answer = response.message;
        seen.header = response.header.get("x-echo-header");
        seen.trailer = response.trailer.get("x-echo-trailer");
        return response;
      },
      (next) => (request) => {
        order.push("inner");
        return next(request);
      },
    ]);
    const { fields } = await callUnary(pair, ["x-echo", "yes"]);
    assert.deepEqual(order, ["outer", "inner", "after"]);
    assert.equal(seen.asked, EchoService);
    assert.equal(seen.method, unary);
    assert.equal(seen.requestMethod, "POST");
    assert.equal(seen.url, `http://host${service}/Unary`);
    assert.equal((seen.message as { text: string }).text, "x");
    assert.equal((seen.answer as { $typeName: string }).$typeName, "lictor.test.v1.UnaryResponse");
    assert.deepEqual([seen.echo, seen.aborted, seen.header, seen.trailer], ["yes", false, "yes", "yes"]);
    assert.equal(fields["grpc-status"], "0");
  });

  test("may copy the request with everything that it has, and put other things into it", async () => {
    const key = createContextKey("preset");
    const abort = new AbortController();
    let context: HandlerContext | undefined;
    const pair = serveWith(
      [
        (next) => (request) => {
          const copy = { ...request };
          assert.deepEqual(Object.keys(copy).toSorted(), [
            "contextValues",
            "header",
            "message",
            "method",
            "requestMethod",
            "service",
            "signal",
            "stream",
            "url",
          ]);
          copy.contextValues.set(key, "set");
          return next({ ...copy, header: new Headers({ "x-other": "1" }), signal: abort.signal } as typeof request);
        },
      ],
      {
        unary(_, given) {
          context = given;
          return { text: `${given.requestHeader.get("x-other")} ${given.values.get(key)}` };
        },
      },
    );
    const call = await callUnary(pair);
    assert.equal(call.messages(unary)[0]?.text, "1 set");
    assert.equal(context?.signal, abort.signal);
    assert.equal(context?.service, EchoService);
    assert.equal(context?.protocolName, "grpc");
    assert.equal(context?.timeoutMs(), undefined);
  });

  test("may answer by itself, with headers and trailers of its own", async () => {
    let handled = 0;
    const pair = serveWith(
      [
        () => async (request) => ({
          stream: false,
          service: request.service,
          method: unary,
          header: new Headers({ "x-header": "mine" }),
          trailer: new Headers({ "x-trailer": "mine" }),
          message: create(UnaryResponseSchema, { text: "cached" }),
        }),
      ],
      {
        unary() {
          handled++;
          return {};
        },
      },
    );
    const call = await callUnary(pair);
    assert.equal(handled, 0);
    assert.equal(call.messages(unary)[0]?.text, "cached");
    assert.equal(call.fields["x-header"], "mine");
    assert.equal(call.fields["x-trailer"], "mine");
  });

  test("may change headers and trailers of the answer in place", async () => {
    const pair = serveWith([
      (next) => async (request) => {
        const response = await next(request);
        response.header.set("x-header", "late");
        response.trailer.set("x-trailer", "late");
        return { ...response };
      },
    ]);
    const { fields } = await callUnary(pair);
    assert.equal(fields["x-header"], "late");
    assert.equal(fields["x-trailer"], "late");
  });

  test("may call the handler twice", async () => {
    let handled = 0;
    const pair = serveWith(
      [
        (next) => async (request) => {
          await next(request).catch(() => {});
          return next(request);
        },
      ],
      {
        unary() {
          if (handled++ === 0) throw new ConnectError("once more", Code.Unavailable);
          return { text: "second" };
        },
      },
    );
    assert.equal((await callUnary(pair)).messages(unary)[0]?.text, "second");
  });

  test("may fail calls; what is no ConnectError goes to the logger", async () => {
    const refusing = serveWith([
      () => () => {
        throw new ConnectError("who are you", Code.Unauthenticated);
      },
    ]);
    assert.equal(Number((await callUnary(refusing)).fields["grpc-status"]), Code.Unauthenticated);
    const broken = serveWith([
      () => async () => {
        throw new Error("secret");
      },
    ]);
    assert.equal(Number((await callUnary(broken)).fields["grpc-status"]), Code.Internal);
    assert.equal(broken.logger.count("Handler failed"), 1);
  });

  test("may turn an error into an answer", async () => {
    const pair = serveWith(
      [
        (next) => async (request) => {
          try {
            return await next(request);
          } catch (error) {
            assert.equal((error as ConnectError).code, Code.NotFound);
            return {
              stream: false,
              service: request.service,
              method: unary,
              header: new Headers(),
              trailer: new Headers(),
              message: create(UnaryResponseSchema, { text: "made up" }),
            };
          }
        },
      ],
      {
        async unary() {
          throw new ConnectError("no", Code.NotFound);
        },
      },
    );
    assert.equal((await callUnary(pair)).messages(unary)[0]?.text, "made up");
  });

  test("that hangs is ended by the deadline", async () => {
    const pair = serveWith([() => () => new Promise(() => {})]);
    const call = pair.open(`${service}/Unary`, { body: text("x"), fields: ["grpc-timeout", "1S"] });
    await pair.settle();
    await pair.clock.advance(1001);
    await pair.settle();
    assert.equal(Number(call.fields["grpc-status"]), Code.DeadlineExceeded);
    assert.equal(pair.calls.size, 0);
  });
});

describe("an interceptor of streaming calls", () => {
  /** Counts messages each way. */
  function counting() {
    const counts = { requests: 0, answers: 0, method: "" };
    const interceptor: Interceptor = (next) => async (request) => {
      counts.method = request.method.name;
      assert.equal(request.stream, true);
      if (!request.stream) return next(request);
      const { message: requests } = request;
      const response = await next({
        ...request,
        message: (async function* () {
          for await (const one of requests) {
            counts.requests++;
            yield one;
          }
        })(),
      });
      assert.equal(response.stream, true);
      if (!response.stream) return response;
      const { message: answers } = response;
      return {
        ...response,
        message: (async function* () {
          for await (const one of answers) {
            counts.answers++;
            assert.ok(one.$typeName.startsWith("lictor.test.v1."));
            yield one;
          }
          response.trailer.set("x-answers", String(counts.answers));
        })(),
      };
    };
    return { counts, interceptor };
  }

  test("sees every message of a bidi call", async () => {
    const { counts, interceptor } = counting();
    const pair = serveWith([interceptor]);
    const call = pair.open(`${service}/Bidi`, { body: Buffer.concat([text("a"), text("b"), text("c")]) });
    await ended(pair, call);
    assert.deepEqual(counts, { requests: 3, answers: 3, method: "Bidi" });
    assert.equal(call.messages(bidi).length, 3);
    assert.equal(call.fields["x-answers"], "3");
  });

  test("sees the one request of a call that the server streams", async () => {
    const { counts, interceptor } = counting();
    const pair = serveWith([interceptor], {
      async *serverStream({ text: asked }) {
        yield { text: asked };
        yield { text: asked };
      },
    });
    const call = await ended(pair, pair.open(`${service}/ServerStream`, { body: text("x") }));
    assert.deepEqual(counts, { requests: 1, answers: 2, method: "ServerStream" });
    assert.deepEqual(
      call.messages(serverStream).map((message) => message.text),
      ["x", "x"],
    );
  });

  test("sees the one answer of a call that the client streams", async () => {
    const { counts, interceptor } = counting();
    const pair = serveWith([interceptor]);
    const body = Buffer.concat([text("a"), text("b")]);
    const call = await ended(pair, pair.open(`${service}/ClientStream`, { body }));
    assert.deepEqual(counts, { requests: 2, answers: 1, method: "ClientStream" });
    assert.equal(call.messages(clientStream)[0]?.text, "a,b");
  });

  test("may fail a stream after some of its messages", async () => {
    const pair = serveWith([
      (next) => async (request) => {
        const response = await next(request);
        if (!response.stream) return response;
        const { message } = response;
        return {
          ...response,
          message: (async function* () {
            yield* message;
            throw new ConnectError("too many", Code.ResourceExhausted);
          })(),
        };
      },
    ]);
    const call = await ended(pair, pair.open(`${service}/Bidi`, { body: Buffer.concat([text("a"), text("b")]) }));
    assert.equal(call.messages(bidi).length, 2);
    assert.equal(Number(call.fields["grpc-status"]), Code.ResourceExhausted);
  });

  test("and the generators under it are told when the client cancels", async () => {
    const events: string[] = [];
    const { interceptor } = counting();
    const pair = serveWith([interceptor], {
      async *bidi(requests) {
        try {
          for await (const request of requests) yield { text: request.text };
        } catch (error) {
          events.push(`failed ${(error as ConnectError).code}`);
          throw error;
        } finally {
          events.push("finally");
        }
      },
    });
    const call = pair.open(`${service}/Bidi`);
    call.send(text("a"));
    await pair.settle();
    call.reset();
    await pair.settle();
    assert.deepEqual(events, [`failed ${Code.Canceled}`, "finally"]);
    assert.equal(pair.calls.size, 0);
    assert.deepEqual(pair.logger.lines, []);
  });
});
