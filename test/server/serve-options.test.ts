import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { gzip } from "../../src/runtime/zlib-compression.ts";
import { serve } from "../../src/server/serve.ts";
import { resolveServeOptions, type ServeOptions } from "../../src/server/serve-options.ts";
import { createEchoService } from "../support/echo-service.ts";

const routes = createEchoService();

describe("resolveServeOptions()", () => {
  test("fills in the documented defaults", () => {
    const { host, port, maxReceiveBytes, graceMs, drainMarginMs, interceptors, service, cors, reflection } =
      resolveServeOptions({ routes });
    const { http2, connections } = resolveServeOptions({ routes });
    const forever = Number.POSITIVE_INFINITY;
    assert.deepEqual(
      { host, port, maxReceiveBytes, graceMs, drainMarginMs, interceptors, service, cors, reflection },
      {
        host: "127.0.0.1",
        port: 0,
        maxReceiveBytes: 4194304,
        graceMs: 10000,
        drainMarginMs: 1000,
        interceptors: [],
        service: {},
        cors: undefined,
        reflection: false,
      },
    );
    assert.ok(http2 === "node" || http2 === "lictor");
    assert.deepEqual(connections, {
      maxConcurrentStreams: 1000,
      maxConnections: forever,
      maxConnectionsPerPeer: forever,
      life: {
        keepaliveTimeMs: 7_200_000,
        keepaliveTimeoutMs: 20_000,
        minPingMs: 0,
        maxAgeMs: forever,
        maxAgeGraceMs: forever,
        maxIdleMs: forever,
      },
      maxReaderPauseMs: 300_000,
    });
  });

  const bad: readonly (readonly [Partial<ServeOptions>, typeof TypeError | typeof RangeError, RegExp])[] = [
    [{ routes: undefined as never }, TypeError, /^Cannot serve as "routes" must be a function: received undefined$/],
    [{ host: "" }, TypeError, /"host"/],
    [{ port: -1 }, RangeError, /^Cannot serve as "port" must be an integer from 0 to 65535: received -1$/],
    [{ port: 65536 }, RangeError, /"port"/],
    [{ port: 1.5 }, RangeError, /"port"/],
    [{ port: "80" as never }, RangeError, /"port"/],
    [{ advertise: { port: 0 } }, RangeError, /"advertise.port"/],
    [{ advertise: { host: "" } }, TypeError, /"advertise.host"/],
    [{ maxReceiveBytes: 0 }, RangeError, /"maxReceiveBytes"/],
    [{ maxReceiveBytes: 2 ** 32 }, RangeError, /"maxReceiveBytes"/],
    [{ compressMinBytes: -1 }, RangeError, /"compressMinBytes" must be a number of bytes, at least 0: received -1$/],
    [{ compressMinBytes: Number.NaN }, RangeError, /"compressMinBytes"/],
    [{ sendCompression: "gzip" as never }, TypeError, /"sendCompression" must be a compression.*received "gzip"$/],
    [{ sendCompression: null as never }, TypeError, /"sendCompression" must be a compression.*received null$/],
    [{ http2: "node", sendCompression: gzip }, TypeError, /"sendCompression" is used only with "http2" lictor/],
    [{ http2: "lictor", maxReaderPauseMs: 999 }, RangeError, /"maxReaderPauseMs" must be milliseconds, 1000 to/],
    [{ http2: "lictor", maxReaderPauseMs: 2 ** 31 }, RangeError, /"maxReaderPauseMs"/],
    [{ http2: "node", maxReaderPauseMs: 5000 }, TypeError, /"maxReaderPauseMs" is used only with "http2" lictor/],
    [{ graceMs: -1 }, RangeError, /"graceMs"/],
    [{ graceMs: Number.NaN }, RangeError, /"graceMs"/],
    [{ graceMs: Number.POSITIVE_INFINITY }, RangeError, /"graceMs"/],
    [{ graceMs: "5" as never }, RangeError, /"graceMs" must be milliseconds, at least 0: received "5"$/],
    [{ drainMarginMs: -0.1 }, RangeError, /"drainMarginMs"/],
    [{ reflection: 1 as never }, TypeError, /"reflection" must be a boolean: received 1/],
    [{ cors: ["https://app.example/"] }, TypeError, /"cors\.origins"/],
    [{ service: "x" }, TypeError, /"service" is used only with "consul": received "x"/],
    [{ tls: { cert: "", key: "", requireClientCert: true } }, TypeError, /"tls.ca"/],
    [
      { tls: { cert: "", key: "", ca: "SECRET" } },
      TypeError,
      /"tls.ca" is used only with "tls.requireClientCert" true: received undefined$/,
    ],
    [{ http2: "nghttp2" as never }, TypeError, /"http2" must be "lictor" or "node": received "nghttp2"$/],
    [
      { maxConcurrentStreams: 0 },
      RangeError,
      /"maxConcurrentStreams" must be an integer from 1 to 2147483647: received 0$/,
    ],
    [{ maxConcurrentStreams: 2 ** 31 }, RangeError, /"maxConcurrentStreams"/],
    [{ maxConnections: 0 }, RangeError, /"maxConnections"/],
    [{ maxConnections: 1.5 }, RangeError, /"maxConnections"/],
    [{ maxConnectionsPerPeer: -1 }, RangeError, /"maxConnectionsPerPeer"/],
    [{ http2: "lictor", keepalive: 5 as never }, TypeError, /"keepalive" must be an object: received 5$/],
    [{ http2: "lictor", keepalive: { timeMs: 999 } }, RangeError, /"keepalive.timeMs" must be milliseconds, 1000 to/],
    [{ http2: "lictor", keepalive: { timeoutMs: 0 } }, RangeError, /"keepalive.timeoutMs"/],
    [{ http2: "lictor", keepalive: { minTimeMs: -1 } }, RangeError, /"keepalive.minTimeMs"/],
    [{ http2: "lictor", maxConnectionAgeMs: 0 }, RangeError, /"maxConnectionAgeMs"/],
    [{ http2: "lictor", maxConnectionAgeMs: 2 ** 31 }, RangeError, /"maxConnectionAgeMs"/],
    [{ http2: "lictor", maxConnectionAgeGraceMs: Number.NaN }, RangeError, /"maxConnectionAgeGraceMs"/],
    [{ http2: "lictor", maxConnectionIdleMs: "5" as never }, RangeError, /"maxConnectionIdleMs".*received "5"$/],
    [{ http2: "node", keepalive: {} }, TypeError, /"keepalive" is used only with "http2" lictor: received object$/],
    [{ http2: "node", maxConnectionIdleMs: 5 }, TypeError, /"maxConnectionIdleMs" is used only with "http2" lictor/],
  ];
  for (const [options, kind, pattern] of bad) {
    test(`refuses ${JSON.stringify(options)} with ${kind.name} that matches ${pattern}`, () => {
      assert.throws(
        () => resolveServeOptions({ routes, ...options }),
        (error: unknown) => error instanceof kind && pattern.test(error.message),
      );
    });
  }
});

describe("serve()", () => {
  test("refuses to be called without options", () => {
    assert.throws(() => serve(undefined as never), /^TypeError: Cannot serve as the options must be an object/);
  });

  test("refuses a method that is routed twice", () => {
    const twice: ServeOptions["routes"] = (router) => {
      routes(router);
      routes(router);
    };
    assert.throws(
      () => serve({ routes: twice }),
      (error: unknown) => error instanceof TypeError && /EchoService\/Unary twice/.test(error.message),
    );
  });
});
