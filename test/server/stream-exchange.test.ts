// Plain requests on our own HTTP/2: what they may be, and how they end.

import assert from "node:assert/strict";
import type { ClientHttp2Session, IncomingHttpHeaders } from "node:http2";
import { after, before, describe, test } from "node:test";
import { serve } from "../../src/server/serve.ts";
import type { Server } from "../../src/server/server.ts";
import { createEchoService } from "../support/echo-service.ts";
import { eventually, pause } from "../support/eventually.ts";
import { call, openSession } from "../support/http2-call.ts";

describe('serve({ http2: "lictor", fallback })', () => {
  let server: Server;
  let session: ClientHttp2Session;
  const aborted: unknown[] = [];
  let pulled = 0;
  before(async () => {
    server = serve({
      http2: "lictor",
      graceMs: 2000,
      routes: createEchoService(),
      async fallback(request) {
        const { pathname } = new URL(request.url);
        switch (pathname) {
          case "/count": {
            let bytes = 0;
            if (request.body !== null) for await (const chunk of request.body) bytes += chunk.length;
            return new Response(String(bytes));
          }
          case "/headers":
            return Response.json(Object.fromEntries(request.headers));
          case "/hang":
            request.signal.addEventListener("abort", () => aborted.push(request.signal.reason));
            return new Promise(() => {});
          case "/large":
            return new Response(
              new ReadableStream({
                pull(controller) {
                  if (pulled++ < 100) controller.enqueue(new Uint8Array(64 * 1024));
                  else controller.close();
                },
              }),
            );
          case "/empty":
            return new Response(null, { status: 204 });
          default:
            return new Response("text", { headers: { "content-length": "4", connection: "close" } });
        }
      },
    });
    session = await openSession((await server.ready).url);
  });
  after(async () => {
    session?.destroy();
    await server?.close();
  });

  test("takes a body larger than every window, as it is read", async () => {
    const answer = await call(session, { ":method": "POST", ":path": "/count" }, Buffer.alloc(3_000_000));
    assert.equal(answer.body.toString(), "3000000");
  });

  test("answers HEAD with headers only", async () => {
    const answer = await call(session, { ":method": "HEAD", ":path": "/" });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers["content-length"], "4");
    assert.equal(answer.headers.connection, undefined);
    assert.equal(answer.body.length, 0);
    assert.equal(answer.rstCode, 0);
  });

  test("answers without a body in the head itself", async () => {
    const answer = await call(session, { ":method": "POST", ":path": "/empty" }, Buffer.from("x"));
    assert.equal(answer.status, 204);
    assert.equal(answer.rstCode, 0);
  });

  test("tells a client that waits for leave to go on", async () => {
    const stream = session.request(
      { ":method": "POST", ":path": "/count", expect: "100-continue" },
      { endStream: false },
    );
    const informed = new Promise<void>((resolve) => {
      stream.on("continue", resolve);
      // What the runtimes call it where nobody asked for events of `expect`.
      stream.on("headers", (headers: IncomingHttpHeaders & { ":status"?: number }) => {
        if (headers[":status"] === 100) resolve();
      });
    });
    const answered = new Promise<string>((resolve, reject) => {
      let text = "";
      stream.on("data", (chunk: Buffer) => {
        text += chunk.toString();
      });
      stream.on("end", () => resolve(text));
      stream.on("error", reject);
    });
    await informed;
    stream.end("12345");
    assert.equal(await answered, "5");
  });

  test("joins cookies, and other headers of one name", async () => {
    const answer = await call(session, { ":path": "/headers", cookie: ["a=1", "b=2"], "x-list": ["1", "2"] } as never);
    const headers = JSON.parse(answer.body.toString());
    assert.equal(headers.cookie, "a=1; b=2");
    assert.equal(headers["x-list"], "1, 2");
  });

  test("is no proxy", async () => {
    const stream = session.request({ ":method": "CONNECT", ":authority": "elsewhere.example:443" });
    const status = await new Promise((resolve, reject) => {
      stream.on("response", (headers) => resolve(headers[":status"]));
      stream.on("error", reject);
    });
    assert.equal(status, 501);
    stream.destroy();
  });

  test("aborts the request's signal when the client goes away", async () => {
    const stream = session.request({ ":path": "/hang" });
    stream.on("error", () => {});
    await pause(20);
    stream.close(8);
    await eventually("the signal", () => aborted.length === 1);
  });

  test("pulls an answer no faster than the client reads", async () => {
    const stream = session.request({ ":path": "/large" });
    await new Promise((resolve) => stream.once("response", resolve));
    stream.pause();
    await pause(100);
    const ahead = pulled;
    assert.ok(ahead < 60, `${ahead} pieces`);
    let bytes = 0;
    stream.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
    });
    stream.resume();
    await new Promise((resolve) => stream.once("end", resolve));
    assert.equal(bytes, 100 * 64 * 1024);
  });

  test("refuses headers that are too large with 431, and goes on with the connection", async () => {
    const wide = await openSession((await server.ready).url, { maxSendHeaderBlockLength: 200_000 } as never);
    const headers = Object.fromEntries(Array.from({ length: 6 }, (_, index) => [`x-${index}`, "x".repeat(15_000)]));
    const answer = await call(wide, { ":path": "/", ...headers });
    assert.equal(answer.status, 431);
    assert.equal((await call(wide, { ":path": "/" })).status, 200);
    wide.destroy();
  });
});
