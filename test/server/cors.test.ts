import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Code } from "@connectrpc/connect";
import type { CorsOptions } from "../../src/server/cors-options.ts";
import { serve } from "../../src/server/serve.ts";
import type { ServeOptions } from "../../src/server/serve-options.ts";
import type { Server } from "../../src/server/server.ts";
import { type Answer, ask, type HttpVersion, type Question } from "../support/ask.ts";
import { makeCertificates } from "../support/certificates.ts";
import { createEchoService } from "../support/echo-service.ts";
import { grpcFrame } from "../support/http2-call.ts";

const service = "/lictor.test.v1.EchoService";
const page = "https://app.example";
const stranger = "https://stranger.example";
const certificates = makeCertificates();

const json = { "content-type": "application/json", "connect-protocol-version": "1" };
const preflight = (origin: string, requestHeaders = "content-type,connect-protocol-version"): Question => ({
  method: "OPTIONS",
  headers: {
    origin,
    "access-control-request-method": "POST",
    "access-control-request-headers": requestHeaders,
  },
});

/** The CORS headers of an answer, and what it varies by. */
function corsOf({ headers }: Answer): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => name.startsWith("access-control-") || name === "vary"),
  );
}

/** Starts a server for the length of a describe block. */
function serving(options: Omit<Partial<ServeOptions>, "routes">) {
  let server: Server | undefined;
  let url = "";
  before(async () => {
    server = serve({ http2: "lictor", routes: createEchoService({ server: "one" }), graceMs: 200, ...options });
    ({ url } = await server.ready);
  });
  after(() => server?.close());
  return {
    get server(): Server {
      if (server === undefined) throw new Error("not started");
      return server;
    },
    ask: (path: string, question?: Question, version: HttpVersion = "HTTP/1.1") =>
      ask(url, version, path, question, options.tls === undefined ? undefined : certificates.ca),
  };
}

const allowed = {
  "access-control-allow-origin": page,
  "access-control-expose-headers": "Grpc-Status, Grpc-Message, Grpc-Status-Details-Bin",
  vary: "Origin",
};
const permission = {
  "access-control-allow-origin": page,
  "access-control-allow-methods": "GET, POST",
  "access-control-allow-headers":
    "Content-Type, Connect-Protocol-Version, Connect-Timeout-Ms, Grpc-Timeout, X-Grpc-Web, X-User-Agent",
  "access-control-max-age": "7200",
  vary: "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
};

for (const [where, tls, http2] of [
  ["in cleartext", undefined, "lictor"],
  ["with TLS", certificates.server, "lictor"],
  ["in cleartext", undefined, "node"],
] as const) {
  describe(`serve({ cors, http2: "${http2}" }) ${where}`, () => {
    const calls: string[] = [];
    const one = serving({
      cors: [page, "http://localhost:5173"],
      http2,
      ...(tls !== undefined && { tls }),
      interceptors: [
        (next) => (request) => {
          calls.push(request.method.name);
          return next(request);
        },
      ],
    });

    for (const version of ["HTTP/1.1", "HTTP/2"] as const) {
      test(`answers a preflight itself, with what the protocols need, ${version}`, async () => {
        calls.length = 0;
        const answer = await one.ask(`${service}/Unary`, preflight(page), version);
        assert.equal(answer.status, 204);
        assert.equal(answer.text, "");
        assert.deepEqual(corsOf(answer), permission);
        assert.deepEqual(calls, []);
      });

      test(`answers a preflight of an origin that is not named without any permission, ${version}`, async () => {
        const answer = await one.ask(`${service}/Unary`, preflight(stranger), version);
        assert.equal(answer.status, 204);
        assert.deepEqual(corsOf(answer), { vary: permission.vary });
      });

      test(`lets the page read the answer to a call, ${version}`, async () => {
        const question = { method: "POST", headers: { ...json, origin: page }, body: '{"text":"hi"}' };
        const answer = await one.ask(`${service}/Unary`, question, version);
        assert.equal(answer.status, 200);
        assert.deepEqual(JSON.parse(answer.text), { text: "hi", server: "one" });
        assert.deepEqual(corsOf(answer), allowed);
      });

      test(`answers a call of an origin that is not named as ever, without CORS headers, ${version}`, async () => {
        const question = { method: "POST", headers: { ...json, origin: stranger }, body: '{"text":"hi"}' };
        const answer = await one.ask(`${service}/Unary`, question, version);
        assert.equal(answer.status, 200);
        assert.deepEqual(corsOf(answer), { vary: "Origin" });
      });
    }
  });
}

describe("serve({ cors })", () => {
  const one = serving({ cors: [page, "http://localhost:5173"] });

  test("lets each of the named origins in by its own name", async () => {
    const answer = await one.ask("/healthz", { headers: { origin: "http://localhost:5173" } });
    assert.equal(answer.headers["access-control-allow-origin"], "http://localhost:5173");
  });

  for (const almost of ["https://app.example.evil.example", "http://app.example", "https://APP.example", "null"]) {
    test(`does not take ${almost} for ${page}`, async () => {
      assert.deepEqual(corsOf(await one.ask("/healthz", { headers: { origin: almost } })), { vary: "Origin" });
    });
  }

  test("tells caches of answers to GET that they vary, though no origin asked", async () => {
    const query = `encoding=json&message=${encodeURIComponent('{"text":"hi"}')}`;
    const answer = await one.ask(`${service}/UnaryIdempotent?${query}`);
    assert.equal(answer.status, 200);
    assert.deepEqual(corsOf(answer), { vary: "Accept-Encoding, Origin" });
    const asPage = await one.ask(`${service}/UnaryIdempotent?${query}`, { headers: { origin: page } });
    assert.deepEqual(corsOf(asPage), { ...allowed, vary: "Accept-Encoding, Origin" });
  });

  test("lets the page read native gRPC, which only a program could send", async () => {
    const headers = { "content-type": "application/grpc+json", te: "trailers", origin: page };
    const body = grpcFrame(new TextEncoder().encode('{"text":"hi"}'));
    const answer = await one.ask(`${service}/Unary`, { method: "POST", headers, body }, "HTTP/2");
    assert.equal(answer.status, 200);
    assert.match(answer.text, /"text":"hi"/);
    assert.deepEqual(corsOf(answer), allowed);
    const program = await one.ask(
      `${service}/Unary`,
      { method: "POST", headers: { ...headers, origin: "" }, body },
      "HTTP/2",
    );
    assert.match(program.text, /"text":"hi"/);
  });

  test("tells nothing to programs, which POST without an origin", async () => {
    const answer = await one.ask(`${service}/Unary`, { method: "POST", headers: json, body: "{}" });
    assert.deepEqual(corsOf(answer), {});
  });

  test("keeps the handler's own headers beside its own", async () => {
    const headers = { ...json, origin: page, "x-echo": "yes" };
    const answer = await one.ask(`${service}/Unary`, { method: "POST", headers, body: "{}" });
    assert.equal(answer.headers["x-echo-header"], "yes");
    assert.equal(answer.headers["trailer-x-echo-trailer"], "yes");
    assert.deepEqual(corsOf(answer), allowed);
  });

  test("lets the page read a stream of gRPC-Web and of Connect", async () => {
    const grpcWeb = await one.ask(`${service}/ServerStream`, {
      method: "POST",
      headers: { "content-type": "application/grpc-web+json", "x-grpc-web": "1", origin: page },
      body: grpcFrame(new TextEncoder().encode('{"count":2}')),
    });
    assert.equal(grpcWeb.status, 200);
    assert.match(grpcWeb.text, /grpc-status: 0/);
    assert.deepEqual(corsOf(grpcWeb), allowed);
    const connect = await one.ask(`${service}/ServerStream`, {
      method: "POST",
      headers: { "content-type": "application/connect+json", "connect-protocol-version": "1", origin: page },
      body: grpcFrame(new TextEncoder().encode('{"count":2}')),
    });
    assert.equal(connect.status, 200);
    assert.deepEqual(corsOf(connect), allowed);
  });

  const failures: readonly (readonly [string, number, string, Question])[] = [
    ["an error of the handler", 400, `${service}/Unary`, { body: `{"failCode":${Code.FailedPrecondition}}` }],
    ["a handler that is not there yet", 503, `${service}/Unary`, { body: `{"failCode":${Code.Unavailable}}` }],
    ["a message that is no JSON", 400, `${service}/Unary`, { body: "{" }],
    ["an unknown method", 404, `${service}/Nothing`, { body: "{}" }],
    ["a path that is nobody's", 404, "/nowhere", { method: "GET", headers: {} }],
    ["an unknown content type", 415, `${service}/Unary`, { headers: { "content-type": "text/plain" }, body: "{}" }],
    ["a method that takes no GET", 405, `${service}/Unary`, { method: "GET", headers: {} }],
    [
      "a stream both ways by HTTP/1.1",
      505,
      `${service}/Bidi`,
      { headers: { "content-type": "application/connect+json" } },
    ],
  ];
  for (const [name, status, path, question] of failures) {
    test(`lets the page read ${name}: ${status}`, async () => {
      const { method = "POST", headers = json, body = "" } = question;
      const answer = await one.ask(path, { method, headers: { ...headers, origin: page }, body });
      assert.equal(answer.status, status);
      assert.equal(answer.headers["access-control-allow-origin"], page);
      assert.equal(answer.headers["access-control-expose-headers"], allowed["access-control-expose-headers"]);
      assert.match(answer.headers.vary ?? "", /\bOrigin$/);
    });
  }

  test("lets the page read an unknown method of gRPC-Web, whose status is a header", async () => {
    const headers = { "content-type": "application/grpc-web+proto", "x-grpc-web": "1", origin: page };
    const answer = await one.ask(`${service}/Nothing`, { method: "POST", headers, body: grpcFrame(new Uint8Array()) });
    assert.equal(answer.headers["grpc-status"], "12");
    assert.deepEqual(corsOf(answer), allowed);
  });

  test("lets the page read /healthz, whatever it says", async () => {
    assert.deepEqual(corsOf(await one.ask("/healthz", { headers: { origin: page } })), allowed);
    assert.equal((await one.ask("/healthz", preflight(page))).status, 204);
    one.server.health.setStatus("", "NOT_SERVING");
    const answer = await one.ask("/healthz", { headers: { origin: page } });
    one.server.health.setStatus("", "SERVING");
    assert.equal(answer.status, 503);
    assert.deepEqual(corsOf(answer), allowed);
  });

  test("answers preflights of every path, so that a page can read what is not there", async () => {
    for (const path of [`${service}/Nothing`, "/nowhere"]) {
      // Nothing but the path could say that it is an RPC.
      const answer = await one.ask(path, preflight(page, "content-type"));
      assert.equal(answer.status, 204);
      assert.deepEqual(corsOf(answer), permission);
    }
  });

  test("takes an OPTIONS that is no preflight for what it is", async () => {
    for (const headers of [{}, { origin: page }, { "access-control-request-method": "POST" }]) {
      const answer = await one.ask(`${service}/Unary`, { method: "OPTIONS", headers });
      assert.equal(answer.status, 405);
      assert.equal(answer.headers.allow, "POST");
      assert.equal(answer.headers["access-control-allow-methods"], undefined);
    }
  });

  test("runs nothing with side effects for a page whose browser sends no preflight", async () => {
    // https://fetch.spec.whatwg.org/#cors-safelisted-request-header: these three content types, or none.
    const simple: readonly Record<string, string>[] = [
      { "content-type": "text/plain" },
      { "content-type": "application/x-www-form-urlencoded" },
      { "content-type": "multipart/form-data; boundary=x" },
      {},
    ];
    for (const headers of simple) {
      const question = { method: "POST", headers: { ...headers, origin: stranger }, body: '{"text":"hi"}' };
      assert.equal((await one.ask(`${service}/Unary`, question)).status, 415, JSON.stringify(headers));
    }
    const get = await one.ask(`${service}/Unary?encoding=json&message={}`, { headers: { origin: stranger } });
    assert.equal(get.status, 405);
  });
});

describe("serve({ cors }) while it drains", () => {
  test("lets the page read that the call was cut: 503", async () => {
    const called = Promise.withResolvers<void>();
    await using server = serve({
      routes: createEchoService({ onCall: () => called.resolve() }),
      cors: [page],
      graceMs: 50,
    });
    const { url } = await server.ready;
    const headers = { ...json, origin: page };
    const cut = ask(url, "HTTP/1.1", `${service}/Unary`, { method: "POST", headers, body: '{"delayMs":60000}' });
    await called.promise;
    const drained = server.drain();
    const answer = await cut;
    await drained;
    assert.equal(answer.status, 503);
    assert.equal(JSON.parse(answer.text).code, "unavailable");
    assert.deepEqual(corsOf(answer), allowed);
  });
});

describe("serve({ cors }) with fallback", () => {
  const one = serving({
    cors: [page],
    async fallback(request) {
      if (new URL(request.url).pathname === "/throw") throw new Error("secret of the fallback");
      return new Response(request.method, {
        headers: { "content-type": "text/plain", "access-control-allow-origin": "own" },
      });
    },
  });

  test("leaves the fallback's answers and preflights to it", async () => {
    const answer = await one.ask("/api", { headers: { origin: page } });
    assert.deepEqual(corsOf(answer), { "access-control-allow-origin": "own" });
    const asked = await one.ask("/api", preflight(page, "content-type"));
    assert.equal(asked.status, 200);
    assert.equal(asked.text, "OPTIONS");
    assert.deepEqual(corsOf(asked), { "access-control-allow-origin": "own" });
  });

  test("answers preflights of RPCs itself, of unknown methods too", async () => {
    assert.deepEqual(corsOf(await one.ask(`${service}/Unary`, preflight(page, "content-type"))), permission);
    assert.deepEqual(corsOf(await one.ask("/healthz", preflight(page, "content-type"))), permission);
    for (const names of ["content-type,connect-protocol-version", "content-type, X-Grpc-Web, x-user-agent"]) {
      assert.deepEqual(corsOf(await one.ask(`${service}/Nothing`, preflight(page, names))), permission, names);
    }
  });

  test("lets the page read that the fallback failed", async () => {
    const answer = await one.ask("/throw", { headers: { origin: page } });
    assert.equal(answer.status, 500);
    assert.ok(!answer.text.includes("secret"));
    assert.deepEqual(corsOf(answer), allowed);
  });
});

describe("serve({ cors: options })", () => {
  const cors: CorsOptions = {
    origins: [page],
    allowedHeaders: ["Authorization"],
    exposedHeaders: ["Trailer-X-Took"],
    maxAgeSeconds: 0,
    credentials: true,
  };
  const one = serving({ cors });

  test("grants what was named, and credentials to named origins only", async () => {
    const asked = await one.ask(`${service}/Unary`, preflight(page));
    assert.deepEqual(corsOf(asked), {
      ...permission,
      "access-control-allow-credentials": "true",
      "access-control-allow-headers": `${permission["access-control-allow-headers"]}, Authorization`,
      "access-control-max-age": "0",
    });
    const answer = await one.ask(`${service}/Unary`, {
      method: "POST",
      headers: { ...json, origin: page },
      body: "{}",
    });
    assert.deepEqual(corsOf(answer), {
      ...allowed,
      "access-control-allow-credentials": "true",
      "access-control-expose-headers": `${allowed["access-control-expose-headers"]}, Trailer-X-Took`,
    });
    assert.deepEqual(corsOf(await one.ask("/healthz", { headers: { origin: stranger } })), { vary: "Origin" });
  });
});

describe('serve({ cors: ["*"] })', () => {
  const one = serving({ cors: ["*"] });

  test("lets every page in, with one answer for all of them", async () => {
    const { vary: _, ...exposed } = allowed;
    const anyone = { ...exposed, "access-control-allow-origin": "*" };
    assert.deepEqual(corsOf(await one.ask("/healthz", { headers: { origin: stranger } })), anyone);
    // A cache may hand this one to a page.
    assert.deepEqual(corsOf(await one.ask("/healthz")), anyone);
    const asked = await one.ask(`${service}/Unary`, preflight("null"));
    assert.deepEqual(corsOf(asked), { ...permission, "access-control-allow-origin": "*" });
  });
});

describe("serve() without cors", () => {
  const one = serving({});

  test("sends no CORS header anywhere, and takes a preflight for any OPTIONS", async () => {
    const questions: readonly (readonly [number, string, Question])[] = [
      [405, `${service}/Unary`, preflight(page)],
      [404, "/nowhere", preflight(page)],
      [200, "/healthz", preflight(page)],
      [200, "/healthz", { headers: { origin: page } }],
      [200, `${service}/Unary`, { method: "POST", headers: { ...json, origin: page }, body: "{}" }],
    ];
    for (const [status, path, question] of questions) {
      for (const version of ["HTTP/1.1", "HTTP/2"] as const) {
        const answer = await one.ask(path, question, version);
        assert.equal(answer.status, status, path);
        assert.deepEqual(corsOf(answer), {}, path);
      }
    }
  });
});
