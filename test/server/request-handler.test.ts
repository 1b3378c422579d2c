import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { after, before, describe, test } from "node:test";
import { serve } from "../../src/server/serve.ts";
import type { Server } from "../../src/server/server.ts";
import { ask } from "../support/ask.ts";
import { createEchoService } from "../support/echo-service.ts";
import { call, grpcFrame, grpcHeaders, openSession } from "../support/http2-call.ts";
import { http2Kinds } from "../support/http2-kinds.ts";
import { createRecordingLogger } from "../support/recording-logger.ts";

const unknown = "/lictor.test.v1.EchoService/Nothing";

for (const http2 of http2Kinds) {
  describe(`serve({ http2: "${http2}" }) without fallback`, () => {
    let server: Server;
    let url: string;
    before(async () => {
      server = serve({ http2, routes: createEchoService() });
      ({ url } = await server.ready);
    });
    after(() => server.close());

    test("answers an unknown gRPC method with unimplemented in trailers-only form", async () => {
      const session = await openSession(url);
      const seen: number[] = [];
      const answer = await new Promise<{ headers: Record<string, unknown>; flags: number }>((resolve, reject) => {
        const stream = session.request(grpcHeaders(unknown));
        stream.on("response", (headers, flags) => resolve({ headers, flags }));
        stream.on("data", (chunk) => seen.push(chunk.length));
        stream.on("error", reject);
        stream.end(grpcFrame(new Uint8Array(0)));
      });
      assert.equal(answer.headers[":status"], 200);
      assert.equal(answer.headers["content-type"], "application/grpc");
      assert.equal(answer.headers["grpc-status"], "12");
      assert.match(String(answer.headers["grpc-message"]), /unknown method/);
      // END_STREAM on the very headers: no body, no trailers.
      assert.equal(answer.flags & 1, 1);
      assert.deepEqual(seen, []);
      session.destroy();
    });

    test("answers an unknown gRPC-Web method with unimplemented, by HTTP/1.1", async () => {
      const response = await fetch(`${url}${unknown}`, {
        method: "POST",
        headers: { "content-type": "application/grpc-web+proto" },
        body: Buffer.from(grpcFrame(new Uint8Array(0))),
      });
      assert.equal(response.status, 200);
      assert.equal(response.headers.get("content-type"), "application/grpc-web+proto");
      assert.equal(response.headers.get("grpc-status"), "12");
      assert.equal(await response.text(), "");
    });

    test("answers an unknown Connect method with 404 and its code in JSON", async () => {
      const response = await fetch(`${url}${unknown}`, {
        method: "POST",
        headers: { "content-type": "application/json", "connect-protocol-version": "1" },
        body: "{}",
      });
      assert.equal(response.status, 404);
      assert.equal(((await response.json()) as { code: string }).code, "unimplemented");
    });

    test("answers a known method in a content type that is no RPC's with 415", async () => {
      const path = "/lictor.test.v1.EchoService/Unary";
      const response = await fetch(`${url}${path}`, {
        method: "POST",
        headers: { "content-type": "text/html" },
        body: "x",
      });
      assert.equal(response.status, 415);
    });

    test("answers other plain requests with 404", async () => {
      const response = await fetch(`${url}/index.html`);
      assert.equal(response.status, 404);
      const posted = await fetch(`${url}/api`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: "{}",
      });
      assert.equal(posted.status, 404);
    });

    for (const method of ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]) {
      test(`answers ${method} /healthz with 200 SERVING`, async () => {
        const response = await fetch(`${url}/healthz?verbose`, { method });
        assert.equal(response.status, 200);
        assert.equal(await response.text(), method === "HEAD" ? "" : "SERVING");
      });
    }

    test("answers /healthz over HTTP/2", async () => {
      const session = await openSession(url);
      const answer = await call(session, { ":path": "/healthz" });
      assert.equal(answer.status, 200);
      assert.equal(answer.body.toString(), "SERVING");
      session.destroy();
    });

    test("answers /healthz with 503 NOT_SERVING while health says so", async () => {
      server.health.setStatus("", "NOT_SERVING");
      const response = await fetch(`${url}/healthz`);
      server.health.setStatus("", "SERVING");
      assert.equal(response.status, 503);
      assert.equal(await response.text(), "NOT_SERVING");
    });

    test("answers a request whose host is no host with 400, and goes on serving", async () => {
      const session = await openSession(url);
      const answer = await call(session, { ":path": "/healthz", ":authority": "host:99999" });
      assert.equal(answer.status, 400);
      session.destroy();
      assert.equal((await fetch(`${url}/healthz`)).status, 200);
    });

    test("does not let a host become part of the path", async () => {
      const { hostname, port } = new URL(url);
      for (const host of ["x/healthz?", "x/healthz#", "u@x", "x\\healthz?"]) {
        const socket = connect(Number(port), hostname);
        socket.write(`GET /public HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
        const [head] = (await once(socket, "data")) as [Buffer];
        assert.match(head.toString(), /^HTTP\/1\.1 400 /, host);
        socket.destroy();
      }
    });

    test("answers a client that leaves out the brackets of an IPv6 host", async () => {
      const session = await openSession(url);
      for (const authority of ["::1:10000", "[::1]:10000"]) {
        assert.equal((await call(session, { ":path": "/healthz", ":authority": authority })).status, 200, authority);
      }
      session.destroy();
    });

    test("does not take a path that begins with // for a host", async () => {
      const response = await fetch(`${url}//elsewhere/healthz`);
      assert.equal(response.status, 404);
    });
  });

  describe(`serve({ http2: "${http2}" }) with fallback`, () => {
    const logger = createRecordingLogger();
    let server: Server;
    let url: string;
    before(async () => {
      server = serve({
        http2,
        routes: createEchoService(),
        logger,
        async fallback(request) {
          const { pathname, searchParams } = new URL(request.url);
          if (pathname === "/throw") throw new Error("secret of the fallback");
          if (pathname === "/break") {
            const body = new ReadableStream({
              pull(controller) {
                controller.enqueue(new TextEncoder().encode("half"));
                controller.error(new Error("broken halfway"));
              },
            });
            return new Response(body);
          }
          const text = request.body === null ? "" : await request.text();
          return new Response(`${request.method} ${pathname} ${searchParams.get("q")} ${text.length}`, {
            status: 201,
            headers: [
              ["x-fallback", request.headers.get("x-asked") ?? ""],
              ["set-cookie", "a=1"],
              ["set-cookie", "b=2"],
              ["connection", "keep-alive"],
            ],
          });
        },
      });
      ({ url } = await server.ready);
    });
    after(() => server.close());

    test("hands it the whole request and sends its answer, by HTTP/1.1", async () => {
      const body = "x".repeat(300_000);
      const response = await fetch(`${url}/path?q=1`, { method: "POST", headers: { "x-asked": "yes" }, body });
      assert.equal(response.status, 201);
      assert.equal(response.headers.get("x-fallback"), "yes");
      assert.deepEqual(response.headers.getSetCookie(), ["a=1", "b=2"]);
      assert.equal(await response.text(), "POST /path 1 300000");
    });

    test("hands it the whole request and sends its answer, by HTTP/2", async () => {
      const session = await openSession(url);
      const answer = await call(
        session,
        { ":method": "PUT", ":path": "/path?q=2", "x-asked": "yes" },
        Buffer.from("abc"),
      );
      assert.equal(answer.status, 201);
      assert.equal(answer.body.toString(), "PUT /path 2 3");
      assert.deepEqual(answer.headers["set-cookie"], ["a=1", "b=2"]);
      session.destroy();
    });

    test("leaves plain JSON to it, and RPCs of unknown methods not", async () => {
      const headers = { "content-type": "application/json" };
      const plain = await fetch(`${url}/api?q=3`, { method: "POST", headers, body: "{}" });
      assert.equal(plain.status, 201);
      const rpc = await fetch(`${url}${unknown}`, {
        method: "POST",
        headers: { ...headers, "connect-protocol-version": "1" },
        body: "{}",
      });
      assert.equal(rpc.status, 404);
    });

    test("answers methods that fetch cannot say with 501, lest the fallback takes them for others", async () => {
      const traced = await ask(url, "HTTP/1.1", "/path", { method: "TRACE" });
      assert.equal(traced.status, 501);
      // What fetch can say differs: Node and Deno take any name, Bun its own list.
      const invented = await ask(url, "HTTP/2", "/path", { method: "BREW" });
      if (invented.status === 201) assert.match(invented.text, /^BREW /);
      else assert.equal(invented.status, 501);
      assert.equal(logger.count("Request failed"), 0);
    });

    test("answers 500 without the text of what it throws, which goes to the logger", async () => {
      const response = await fetch(`${url}/throw`);
      assert.equal(response.status, 500);
      assert.ok(!(await response.text()).includes("secret"));
      assert.equal(logger.count("Request failed"), 1);
    });

    test("breaks off an answer that breaks halfway, rather than end it", async () => {
      await assert.rejects(async () => {
        const response = await fetch(`${url}/break`);
        await response.text();
      });
      const session = await openSession(url);
      const answer = await call(session, { ":path": "/break" });
      assert.equal(answer.rstCode, 2);
      session.destroy();
    });
  });
}
