import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { NewPicker } from "../../../src/balancer/picker.ts";
import { roundRobin } from "../../../src/balancer/round-robin.ts";
import { resolveOutlierDetection } from "../../../src/transport/outlier/outlier-options.ts";
import { type ReadinessOptions, resolveReadiness } from "../../../src/transport/pool/readiness-options.ts";
import { parseServiceConfig } from "../../../src/transport/service-config/parse-service-config.ts";

describe("resolveReadiness()", () => {
  test("has defaults for everything", () => {
    const { outlierDetection, ...rest } = resolveReadiness({}, undefined);
    assert.deepEqual(rest, {
      slowStartMs: { joined: 0, returned: 5000 },
      minPassingPercent: 50,
      idleTimeoutMs: 1_800_000,
      healthService: undefined,
    });
    assert.deepEqual(outlierDetection, {
      intervalMs: 10_000,
      baseEjectionMs: 1000,
      maxEjectionMs: 30_000,
      maxEjectionPercent: 50,
      consecutiveFailures: 5,
      pingTimeoutMs: 1000,
      latency: { factor: 4, floorMs: 250 },
      successRate: undefined,
      failurePercentage: undefined,
    });
  });

  test("rejects what is outside its range, by name", () => {
    const bad: readonly [options: object, error: typeof RangeError | typeof TypeError, name: string][] = [
      [{ slowStartMs: -1 }, RangeError, "slowStartMs"],
      [{ minPassingPercent: 101 }, RangeError, "minPassingPercent"],
      [{ idleTimeoutMs: 0 }, RangeError, "idleTimeoutMs"],
      [{ idleTimeoutMs: "5" }, RangeError, "idleTimeoutMs"],
      [{ healthCheck: "echo" }, TypeError, "healthCheck"],
      [{ healthCheck: { service: 1 } }, TypeError, "healthCheck"],
      [{ outlierDetection: true }, TypeError, "outlierDetection"],
      [{ outlierDetection: { intervalMs: 0 } }, RangeError, "outlierDetection.intervalMs"],
      [{ outlierDetection: { maxEjectionPercent: 101 } }, RangeError, "outlierDetection.maxEjectionPercent"],
      [{ outlierDetection: { consecutiveFailures: 0 } }, RangeError, "outlierDetection.consecutiveFailures"],
      [{ outlierDetection: { consecutiveFailures: 1.5 } }, RangeError, "outlierDetection.consecutiveFailures"],
      [{ outlierDetection: { latency: { factor: 1 } } }, RangeError, "outlierDetection.latency.factor"],
      [{ outlierDetection: { latency: 5 } }, TypeError, "outlierDetection.latency"],
      [{ outlierDetection: { successRate: { requestVolume: -1 } } }, RangeError, "successRate.requestVolume"],
    ];
    for (const [options, type, name] of bad) {
      assert.throws(
        () => resolveReadiness(options as ReadinessOptions, undefined),
        (error) => error instanceof type && error.message.includes(name),
        name,
      );
    }
  });

  test("goes by a service config where it says something, and by false in code whatever it says", () => {
    const config = parseServiceConfig({
      loadBalancingConfig: [
        {
          outlier_detection_experimental: {
            interval: "5s",
            maxEjectionPercent: 20,
            failurePercentageEjection: {},
            childPolicy: [{ round_robin: {} }],
          },
        },
      ],
      healthCheckConfig: { serviceName: "echo" },
    });
    const found = resolveReadiness({ outlierDetection: { consecutiveFailures: 3, intervalMs: 1 } }, config);
    assert.equal(found.healthService, "echo");
    assert.equal(found.outlierDetection?.consecutiveFailures, 3);
    assert.equal(found.outlierDetection?.intervalMs, 5000);
    assert.equal(found.outlierDetection?.maxEjectionPercent, 20);
    assert.equal(found.outlierDetection?.baseEjectionMs, 30_000);
    assert.equal(found.outlierDetection?.failurePercentage?.thresholdPercent, 85);
    const off = resolveReadiness({ outlierDetection: false, healthCheck: false }, config);
    assert.deepEqual([off.outlierDetection, off.healthService], [undefined, undefined]);
    assert.equal(resolveReadiness({ healthCheck: true }, config).healthService, "");
    assert.equal(resolveReadiness({ healthCheck: { service: "own" } }, config).healthService, "own");
  });

  test("does not compare latencies where somebody else spreads the calls, unless it is told to", () => {
    const balancer: NewPicker = (ready, previous) => roundRobin(ready, previous);
    assert.equal(resolveReadiness({ balancer }, undefined).outlierDetection?.latency, undefined);
    const told = resolveReadiness({ balancer, outlierDetection: { latency: {} } }, undefined);
    assert.deepEqual(told.outlierDetection?.latency, { factor: 4, floorMs: 250 });
  });

  test("takes false for each way to find outliers", () => {
    const off = resolveOutlierDetection({ consecutiveFailures: false, pingTimeoutMs: false, latency: false });
    const { consecutiveFailures, pingTimeoutMs, latency } = off ?? {};
    assert.deepEqual([consecutiveFailures, pingTimeoutMs, latency], [Infinity, Infinity, undefined]);
  });
});
