import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type CorsOptions, resolveCors } from "../../src/server/cors-options.ts";
import { serve } from "../../src/server/serve.ts";
import { createEchoService } from "../support/echo-service.ts";

const origin = "https://app.example";

describe("resolveCors()", () => {
  test("gives nothing where no origin is named", () => {
    assert.equal(resolveCors(undefined), undefined);
    assert.equal(resolveCors([]), undefined);
    assert.equal(resolveCors({ origins: [], credentials: true }), undefined);
  });

  test("fills in the documented defaults, and no header more than the protocols need", () => {
    assert.deepEqual(resolveCors([origin]), {
      origins: new Set([origin]),
      allowedHeaders:
        "Content-Type, Connect-Protocol-Version, Connect-Timeout-Ms, Grpc-Timeout, X-Grpc-Web, X-User-Agent",
      exposedHeaders: "Grpc-Status, Grpc-Message, Grpc-Status-Details-Bin",
      maxAgeSeconds: 7200,
      credentials: false,
    });
    assert.equal(resolveCors(["*"])?.origins, "*");
  });

  test("adds the headers that are named, each once", () => {
    const policy = resolveCors({
      origins: [origin],
      allowedHeaders: ["Authorization", "x-tenant", "content-type", "X-Tenant"],
      exposedHeaders: ["Trailer-X-Took", "grpc-status"],
    });
    assert.match(policy?.allowedHeaders ?? "", /^Content-Type,.*, X-User-Agent, Authorization, x-tenant$/);
    assert.match(policy?.exposedHeaders ?? "", /^Grpc-Status, .*-Bin, Trailer-X-Took$/);
  });

  for (const good of [
    "http://localhost:5173",
    "http://[::1]:8080",
    "https://xn--bcher-kva.example",
    "chrome-extension://abcdefghijklmnop",
    "capacitor://localhost",
  ]) {
    test(`takes the origin ${good}`, () => {
      assert.deepEqual(resolveCors([good])?.origins, new Set([good]));
    });
  }

  const bad: readonly (readonly [string, RegExp])[] = [
    [
      "https://app.example/",
      /must be as browsers send them, here https:\/\/app\.example: received https:\/\/app\.example\/$/,
    ],
    ["https://app.example/page", /here https:\/\/app\.example:/],
    ["https://app.example:443", /here https:\/\/app\.example:/],
    ["http://app.example:80", /here http:\/\/app\.example:/],
    ["https://App.Example", /here https:\/\/app\.example:/],
    ["HTTPS://app.example", /here https:\/\/app\.example:/],
    ["https://user@app.example", /here https:\/\/app\.example:/],
    ["https://app.example?x", /here https:\/\/app\.example:/],
    ["https://bücher.example", /here https:\/\/xn--bcher-kva\.example:/],
    ["capacitor://localhost/", /here capacitor:\/\/localhost:/],
    ["app.example", /must be scheme:\/\/host\[:port\]: received app\.example$/],
    ["localhost:5173", /must be scheme/],
    ["//app.example", /must be scheme/],
    ["", /must be scheme/],
    ["file:///", /must be scheme/],
    ["null", /must not name "null"/],
    ["https://*.app.example", /must name each origin, or be "\*" alone/],
  ];
  for (const [text, pattern] of bad) {
    test(`refuses the origin ${JSON.stringify(text)} with a TypeError that matches ${pattern}`, () => {
      assert.throws(
        () => resolveCors([text]),
        (error: unknown) =>
          error instanceof TypeError &&
          error.message.startsWith('Cannot serve as "cors.origins" must') &&
          pattern.test(error.message),
      );
    });
  }

  const wrong: readonly (readonly [unknown, typeof TypeError | typeof RangeError, RegExp])[] = [
    ["*", TypeError, /"cors" must be a list of origins or an object: received \*/],
    [null, TypeError, /"cors" must be/],
    [{}, TypeError, /"cors\.origins" must be a list: received undefined/],
    [{ origins: "*" }, TypeError, /"cors\.origins" must be a list/],
    [[1], TypeError, /"cors\.origins" must hold strings/],
    [["*", origin], TypeError, /"cors\.origins" must be "\*" alone, or without it/],
    [{ origins: ["*"], credentials: true }, TypeError, /must name each origin with "cors\.credentials"/],
    [{ origins: [origin], credentials: "yes" }, TypeError, /"cors\.credentials" must be a boolean/],
    [{ origins: [origin], allowedHeaders: ["*"] }, TypeError, /"cors\.allowedHeaders" must name each header/],
    [{ origins: [origin], allowedHeaders: "x" }, TypeError, /"cors\.allowedHeaders" must be a list/],
    [{ origins: [origin], allowedHeaders: [5] }, TypeError, /"cors\.allowedHeaders" must hold strings: received 5/],
    [{ origins: [origin], exposedHeaders: ["a, b"] }, TypeError, /"cors\.exposedHeaders" must hold names of headers/],
    [{ origins: [origin], exposedHeaders: ["x\r\ny"] }, TypeError, /"cors\.exposedHeaders" must hold names of headers/],
    [{ origins: [origin], maxAgeSeconds: -1 }, RangeError, /"cors\.maxAgeSeconds" must be an integer from 0 to 86400/],
    [{ origins: [origin], maxAgeSeconds: 86401 }, RangeError, /"cors\.maxAgeSeconds"/],
    [{ origins: [origin], maxAgeSeconds: "60" }, RangeError, /"cors\.maxAgeSeconds"/],
  ];
  for (const [cors, kind, pattern] of wrong) {
    test(`refuses ${JSON.stringify(cors)} with ${kind.name} that matches ${pattern}`, () => {
      assert.throws(
        () => resolveCors(cors as CorsOptions),
        (error: unknown) => error instanceof kind && pattern.test(error.message),
      );
    });
  }
});

describe("serve()", () => {
  test("refuses bad cors before it opens anything", () => {
    assert.throws(() => serve({ routes: createEchoService(), cors: ["https://app.example/"] }), TypeError);
  });
});
