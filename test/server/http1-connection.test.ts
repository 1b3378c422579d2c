// HTTP/1.1 as it is on the wire: what clients do with a connection, byte by byte.

import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { serve } from "../../src/server/serve.ts";
import type { Server } from "../../src/server/server.ts";
import { createEchoService } from "../support/echo-service.ts";
import { eventually } from "../support/eventually.ts";

const unary = "/lictor.test.v1.EchoService/Unary";

/** A connection, and all that came over it so far. */
interface Wire extends Disposable {
  readonly socket: Socket;
  readonly seen: string;
  /** The answers so far: their status and body. Every one must have a length. */
  readonly answers: readonly { readonly status: number; readonly body: string }[];
  readonly ended: boolean;
  readonly error: Error | undefined;
}

function open({ hostname, port }: URL): Wire {
  const socket = connect(Number(port), hostname);
  let seen = "";
  let ended = false;
  let failure: Error | undefined;
  socket.setEncoding("latin1");
  socket.on("data", (text) => {
    seen += text;
  });
  socket.on("end", () => {
    ended = true;
  });
  socket.on("error", (error) => {
    failure = error;
  });
  return {
    socket,
    get seen() {
      return seen;
    },
    get answers() {
      const found = [];
      for (let rest = seen; ; ) {
        const match = /^HTTP\/1\.1 (\d+) [^\r]*\r\n((?:[^\r]+\r\n)*)\r\n/.exec(rest);
        if (match === null) return found;
        const length = Number(/^content-length: (\d+)\r$/im.exec(match[2] ?? "")?.[1] ?? 0);
        const end = match[0].length + length;
        if (rest.length < end) return found;
        found.push({ status: Number(match[1]), body: rest.slice(match[0].length, end) });
        rest = rest.slice(end);
      }
    },
    get ended() {
      return ended;
    },
    get error() {
      return failure;
    },
    [Symbol.dispose]() {
      socket.destroy();
    },
  };
}

/** A request's bytes. */
function post(body: string, headers: readonly string[] = [], path = unary): string {
  const length = headers.some((header) => /^transfer-encoding/i.test(header)) ? [] : [`Content-Length: ${body.length}`];
  const lines = [`POST ${path} HTTP/1.1`, "Host: test", "Content-Type: application/json", ...length, ...headers];
  return `${lines.join("\r\n")}\r\n\r\n${body}`;
}

const textOf = (body: string): unknown => JSON.parse(body).text;

describe("serve() on an HTTP/1.1 connection", () => {
  let server: Server;
  let url: URL;
  before(async () => {
    server = serve({ routes: createEchoService(), graceMs: 200 });
    url = new URL((await server.ready).url);
  });
  after(() => server.close());

  test("answers one request after the other", async () => {
    using wire = open(url);
    for (let request = 1; request <= 3; request++) {
      wire.socket.write(post(`{"text":"${request}"}`));
      await eventually("an answer", () => wire.answers.length === request);
    }
    assert.deepEqual(
      wire.answers.map(({ body }) => textOf(body)),
      ["1", "2", "3"],
    );
    assert.equal(wire.ended, false);
  });

  test("answers pipelined requests in their order, whichever is done first", async () => {
    using wire = open(url);
    wire.socket.write(
      post('{"text":"slow","delayMs":50}') + post('{"text":"quick"}') + post("{") + post('{"text":"last"}'),
    );
    await eventually("four answers", () => wire.answers.length === 4);
    assert.deepEqual(
      wire.answers.map(({ status }) => status),
      [200, 200, 400, 200],
    );
    const [slow, quick, , last] = wire.answers;
    assert.deepEqual(
      [slow, quick, last].map((answer) => textOf(answer?.body ?? "{}")),
      ["slow", "quick", "last"],
    );
  });

  test("closes the connection where the client asks for it", async () => {
    using wire = open(url);
    wire.socket.write(post('{"text":"bye"}', ["Connection: close"]));
    await eventually("the end", () => wire.ended);
    assert.equal(wire.answers.length, 1);
    assert.match(wire.seen, /^connection: close\r$/im);
  });

  test("answers HTTP/1.0, and closes", async () => {
    using wire = open(url);
    wire.socket.write(post('{"text":"old"}').replace("HTTP/1.1", "HTTP/1.0"));
    await eventually("the end", () => wire.ended);
    assert.equal(textOf(wire.answers[0]?.body ?? "{}"), "old");
  });

  test("lets a client go on that waits for 100 Continue", async () => {
    using wire = open(url);
    const [head = "", body = ""] = post('{"text":"waited"}', ["Expect: 100-continue"]).split("\r\n\r\n");
    wire.socket.write(`${head}\r\n\r\n`);
    await eventually("100", () => wire.seen.startsWith("HTTP/1.1 100 Continue\r\n\r\n"));
    wire.socket.write(body);
    await eventually("the answer", () => wire.answers.length === 2);
    assert.equal(textOf(wire.answers[1]?.body ?? "{}"), "waited");
  });

  test("takes a body in chunks, however they are cut", async () => {
    using wire = open(url);
    const chunks = ['{"te', 'xt":"', "chunks", '"}'].map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`);
    wire.socket.write(post("", ["Transfer-Encoding: chunked"]));
    for (const chunk of chunks) {
      for (const half of [chunk.slice(0, 2), chunk.slice(2)]) {
        await new Promise((resolve) => setImmediate(resolve));
        wire.socket.write(half);
      }
    }
    wire.socket.write("0\r\n\r\n");
    await eventually("the answer", () => wire.answers.length === 1);
    assert.equal(textOf(wire.answers[0]?.body ?? "{}"), "chunks");
  });

  test("answers HEAD without a body, and the next request rightly", async () => {
    using wire = open(url);
    wire.socket.write(`HEAD /healthz HTTP/1.1\r\nHost: test\r\n\r\n`);
    await eventually("the head", () => wire.seen.endsWith("\r\n\r\n"));
    assert.match(wire.seen, /^HTTP\/1\.1 200 /);
    assert.doesNotMatch(wire.seen, /SERVING/);
    const headLength = wire.seen.length;
    wire.socket.write(post('{"text":"next"}'));
    await eventually("the answer", () => wire.seen.endsWith("}"));
    assert.match(wire.seen.slice(headLength), /^HTTP\/1\.1 200 .*\r\n\r\n\{"text":"next"\}$/s);
  });

  test("goes on with a connection whose message was too large, once all of it has come", async () => {
    using wire = open(url);
    const big = JSON.stringify({ text: "x".repeat(5 * 1024 * 1024) });
    wire.socket.write(post(big));
    await eventually("the refusal", () => wire.answers.length === 1);
    assert.equal(wire.answers[0]?.status, 429);
    assert.equal(JSON.parse(wire.answers[0]?.body ?? "{}").code, "resource_exhausted");
    wire.socket.write(post('{"text":"small"}'));
    await eventually("the next answer", () => wire.answers.length === 2);
    assert.equal(textOf(wire.answers[1]?.body ?? "{}"), "small");
  });

  for (const [name, request] of [
    ["the client closes after it", post("x".repeat(200_000), ["Connection: close"], "/nowhere")],
    [
      "the server closes after it",
      post("x".repeat(200_000), [], "/lictor.test.v1.EchoService/Bidi").replace("/json", "/connect+json"),
    ],
  ] as const) {
    test(`does not reset a connection that it answered before the request was complete, where ${name}`, async () => {
      using wire = open(url);
      const half = request.length / 2;
      wire.socket.write(request.slice(0, half));
      await eventually("the answer", () => wire.answers.length === 1);
      assert.match(wire.seen, /^connection: close\r$/im);
      assert.equal(wire.ended, false);
      wire.socket.write(request.slice(half));
      await eventually("the end", () => wire.ended);
      assert.equal(wire.error, undefined);
    });
  }

  test("answers garbage with 400 and closes", async () => {
    using wire = open(url);
    wire.socket.write("GARBAGE\r\n\r\n");
    await eventually("the end", () => wire.ended);
    assert.match(wire.seen, /^HTTP\/1\.1 400 /);
  });

  for (const target of ["file:///etc/passwd", "javascript:alert(1)", "http://user:password@test/", "ftp://test/"]) {
    test(`answers ${target} in absolute form with 400, before any fallback`, async () => {
      const asked: string[] = [];
      const server = serve({
        routes: createEchoService(),
        fallback: ({ url }) => {
          asked.push(url);
          return new Response("fallback");
        },
      });
      using wire = open(new URL((await server.ready).url));
      wire.socket.write(`GET ${target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n`);
      await eventually("the answer", () => wire.answers.length === 1);
      assert.equal(wire.answers[0]?.status, 400);
      assert.deepEqual(asked, []);
      await server.close();
    });
  }

  test("does not take a request with two lengths", async () => {
    using wire = open(url);
    // RFC 9112 section 6.3: a way to smuggle requests past a proxy.
    wire.socket.write(
      `POST ${unary} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`,
    );
    await eventually("the end", () => wire.ended);
    assert.match(wire.seen, /^HTTP\/1\.1 400 /);
  });
});
