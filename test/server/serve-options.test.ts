import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { serve } from "../../src/server/serve.ts";
import { resolveServeOptions, type ServeOptions } from "../../src/server/serve-options.ts";
import { createEchoService } from "../support/echo-service.ts";

const routes = createEchoService();

describe("resolveServeOptions()", () => {
  test("fills in the documented defaults", () => {
    const { host, port, maxReceiveBytes, graceMs, drainMarginMs, interceptors, service, cors, reflection } =
      resolveServeOptions({ routes });
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
    [{ graceMs: -1 }, RangeError, /"graceMs"/],
    [{ graceMs: Number.NaN }, RangeError, /"graceMs"/],
    [{ graceMs: Number.POSITIVE_INFINITY }, RangeError, /"graceMs"/],
    [{ graceMs: "5" as never }, RangeError, /"graceMs" must be milliseconds, at least 0: received "5"$/],
    [{ drainMarginMs: -0.1 }, RangeError, /"drainMarginMs"/],
    [{ reflection: 1 as never }, TypeError, /"reflection" must be a boolean: received 1/],
    [{ cors: ["https://app.example/"] }, TypeError, /"cors\.origins"/],
    [{ service: "x" }, TypeError, /"service" is used only with "consul": received "x"/],
    [{ tls: { cert: "", key: "", requireClientCert: true } }, TypeError, /"tls.ca"/],
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
