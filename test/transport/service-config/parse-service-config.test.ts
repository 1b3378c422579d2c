import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { DescMethod } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { Health } from "../../../gen/grpc/health/v1/health_pb.ts";
import { HelloService } from "../../../gen/HelloService_proto/hello_service_pb.ts";
import { parseServiceConfig } from "../../../src/transport/service-config/parse-service-config.ts";
import { ServiceConfigError } from "../../../src/transport/service-config/service-config-error.ts";
import type { ServiceConfigJson } from "../../../src/transport/service-config/service-config-json.ts";
import { EchoService } from "../../gen/lictor/test/v1/echo_pb.ts";
import { seededRandom } from "../../support/seeded-random.ts";

const echo = EchoService.typeName;
const { unary, bidi } = EchoService.method;

/** What is wrong, line by line. */
function problems(json: unknown): string[] {
  try {
    parseServiceConfig(json);
  } catch (error) {
    assert.ok(error instanceof ServiceConfigError, String(error));
    assert.ok(error.problems.length > 0);
    return error.problems.map(({ path, text }) => `${path} ${text}`.trim());
  }
  return [];
}

const retryPolicy = {
  maxAttempts: 3,
  initialBackoff: ".1s",
  maxBackoff: "1s",
  backoffMultiplier: 2,
  retryableStatusCodes: ["UNAVAILABLE"],
};

/** One entry for all methods. */
const forAll = (entry: object): object => ({ methodConfig: [{ name: [{}], ...entry }] });

describe("parseServiceConfig()", () => {
  test("reads everything that a config may have", () => {
    const json: ServiceConfigJson = {
      loadBalancingConfig: [{ round_robin: {} }],
      methodConfig: [
        {
          name: [{ service: echo, method: "Unary" }],
          waitForReady: false,
          timeout: "1.5s",
          maxRequestMessageBytes: 1024,
          maxResponseMessageBytes: 0,
          retryPolicy: {
            maxAttempts: 4,
            initialBackoff: "0.1s",
            maxBackoff: "1s",
            backoffMultiplier: 1.5,
            retryableStatusCodes: ["UNAVAILABLE", "resource_exhausted", 10],
            perAttemptRecvTimeout: "0.25s",
          },
        },
        {
          name: [{ service: echo }],
          hedgingPolicy: { maxAttempts: 2, hedgingDelay: "0.000000001s", nonFatalStatusCodes: ["internal"] },
        },
      ],
      retryThrottling: { maxTokens: 10, tokenRatio: 0.1239 },
      healthCheckConfig: { serviceName: "" },
    };
    const config = parseServiceConfig(json);
    assert.deepEqual(config.policyOf(unary), {
      waitForReady: false,
      timeoutMs: 1500,
      maxRequestBytes: 1024,
      maxResponseBytes: 0,
      retry: {
        maxAttempts: 4,
        initialBackoffMs: 100,
        maxBackoffMs: 1000,
        backoffMultiplier: 1.5,
        retryableCodes: new Set([Code.Unavailable, Code.ResourceExhausted, Code.Aborted]),
        perAttemptTimeoutMs: 250,
      },
      hedging: undefined,
    });
    assert.deepEqual(config.policyOf(bidi), {
      waitForReady: undefined,
      timeoutMs: undefined,
      maxRequestBytes: undefined,
      maxResponseBytes: undefined,
      retry: undefined,
      hedging: { maxAttempts: 2, hedgingDelayMs: 0.000001, nonFatalCodes: new Set([Code.Internal]) },
    });
    assert.equal(config.policyOf(HelloService.method.sayHello), undefined);
    assert.deepEqual(config.retryThrottling, { maxTokens: 10, tokenRatio: 0.123 });
    assert.equal(config.loadBalancing, "round_robin");
    assert.equal(config.outlierDetection, undefined);
    assert.equal(config.healthCheckService, "");
    assert.deepEqual(config.warnings, []);
  });

  test("takes a token ratio above all that makes sense for one that gives all tokens back", () => {
    for (const tokenRatio of [1000, 1001, Number.MAX_VALUE]) {
      const { retryThrottling } = parseServiceConfig({ retryThrottling: { maxTokens: 10, tokenRatio } });
      assert.deepEqual(retryThrottling, { maxTokens: 10, tokenRatio: 1000 });
    }
  });

  test("reads an empty config, and one of nulls, as one that says nothing", () => {
    const nulls = { methodConfig: null, retryThrottling: null, healthCheckConfig: { serviceName: null } };
    for (const json of [{}, "{}", nulls, { methodConfig: [], loadBalancingConfig: [] }]) {
      const { policyOf, warnings, ...rest } = parseServiceConfig(json);
      assert.deepEqual(Object.values(rest), [undefined, undefined, undefined, undefined]);
      assert.equal(policyOf(unary), undefined);
      assert.deepEqual(warnings, []);
    }
  });

  test("takes the entry of the method, else of its service, else of all, and merges none", () => {
    const config = parseServiceConfig({
      methodConfig: [
        { name: [{}], timeout: "1s", waitForReady: true },
        { name: [{ service: echo, method: "" }, { service: "other.Service" }], timeout: "2s" },
        { name: [{ service: echo, method: "Unary" }], timeout: "3s" },
      ],
    });
    const timeoutOf = (method: DescMethod) => config.policyOf(method)?.timeoutMs;
    for (let round = 0; round < 2; round++) {
      assert.equal(timeoutOf(unary), 3000);
      assert.equal(timeoutOf(bidi), 2000);
      assert.equal(timeoutOf(Health.method.check), 1000);
      assert.equal(timeoutOf(Health.method.check), 1000);
    }
    assert.equal(config.policyOf(unary)?.waitForReady, undefined);
  });

  test("has the same names for all that JSON calls absent", () => {
    const same = [{}, { service: "" }, { service: null }, { service: "", method: null }];
    for (const name of same) {
      assert.equal(
        parseServiceConfig({ methodConfig: [{ name: [name], timeout: "1s" }] }).policyOf(unary)?.timeoutMs,
        1000,
      );
      assert.deepEqual(problems({ methodConfig: [{ name: [{}] }, { name: [name] }] }), [
        "methodConfig[1].name[0] must be there once: methodConfig[0].name[0] is the same",
      ]);
    }
    assert.deepEqual(problems({ methodConfig: [{ name: [{ service: "s" }, { service: "s", method: "" }] }] }), [
      "methodConfig[0].name[1] must be there once: methodConfig[0].name[0] is the same",
    ]);
  });

  test("says all that is wrong at once, each with its place", () => {
    const json = {
      methodConfig: [
        { name: [{ method: "Unary" }], waitForReady: "yes", timeout: 5 },
        { name: [{ service: "/a.Service/" }], retryPolicy, hedgingPolicy: { maxAttempts: 2 } },
        "all",
        { name: [{ service: "b" }], retryPolicy: { maxAttempts: 1, retryableStatusCodes: [] } },
      ],
      retryThrottling: { maxTokens: 1001, tokenRatio: 0 },
    };
    assert.deepEqual(problems(json), [
      'methodConfig[2] must be an object: received "all"',
      'methodConfig[0].waitForReady must be true or false: received "yes"',
      'methodConfig[0].timeout must be a duration > 0 in seconds like "1.5s": received 5',
      'methodConfig[0].name[0] must have a service beside its method: received "Unary" alone',
      "methodConfig[1] must not have both retryPolicy and hedgingPolicy",
      'methodConfig[1].name[0].service must be the service\'s full name without slashes, like "hello.HelloService"',
      "methodConfig[3].retryPolicy.retryableStatusCodes must have at least one code: received none",
      "methodConfig[3].retryPolicy.maxAttempts must be an integer from 2: received 1",
      'methodConfig[3].retryPolicy.initialBackoff must be a duration > 0 in seconds like "1.5s": received nothing',
      'methodConfig[3].retryPolicy.maxBackoff must be a duration > 0 in seconds like "1.5s": received nothing',
      "methodConfig[3].retryPolicy.backoffMultiplier must be a number > 0: received nothing",
      "retryThrottling.maxTokens must be an integer from 1 to 1000: received 1001",
      "retryThrottling.tokenRatio must be a number > 0: received 0",
    ]);
    assert.throws(() => parseServiceConfig(json), {
      name: "ServiceConfigError",
      code: "invalid_service_config",
      message: /^Cannot use the service config as methodConfig\[2\] must .*; and 5 more$/,
    });
  });

  test("takes no other text than JSON, and no other JSON than an object", () => {
    assert.match(problems("{ methodConfig: ")[0] ?? "", /^must be JSON: ./);
    for (const [json, received] of [
      ["", undefined],
      ["[]", "a list"],
      [[], "a list"],
      ["null", "null"],
      [undefined, "nothing"],
      ["3", "3"],
    ] as const) {
      const [problem = ""] = problems(json);
      if (received === undefined) assert.match(problem, /must be JSON/);
      else assert.equal(problem, `must be a JSON object: received ${received}`);
    }
    assert.match(String(new ServiceConfigError([{ path: "", text: "must be JSON: no" }])), /config as it must be JSON/);
  });

  test("reads durations as protobuf's JSON has them", () => {
    const timeoutOf = (timeout: unknown) => parseServiceConfig(forAll({ timeout })).policyOf(unary)?.timeoutMs;
    for (const [text, ms] of [
      ["1s", 1000],
      ["1.5s", 1500],
      [".5s", 500],
      ["0.000000001s", 0.000001],
      ["003s", 3000],
      ["315576000000s", 2147483647],
      ["999999999999.999999999s", 2147483647],
    ] as const) {
      assert.equal(timeoutOf(text), ms, text);
    }
    const bad = [
      "1",
      "1ms",
      "1m",
      "-1s",
      "+1s",
      "1.s",
      "s",
      ".s",
      "1 s",
      " 1s",
      "1e3s",
      "0x1s",
      "1.0000000001s",
      "∞s",
      "",
      1,
      true,
      {},
    ];
    for (const timeout of bad) assert.throws(() => timeoutOf(timeout), ServiceConfigError, String(timeout));
    assert.throws(() => timeoutOf("0s"), ServiceConfigError);
    assert.throws(() => timeoutOf("0.000s"), ServiceConfigError);
    const hedgingPolicy = { maxAttempts: 2, hedgingDelay: "0s" };
    assert.equal(parseServiceConfig(forAll({ hedgingPolicy })).policyOf(unary)?.hedging?.hedgingDelayMs, 0);
  });

  test("reads codes by name in any case, or by number", () => {
    const codesOf = (...retryableStatusCodes: unknown[]) =>
      parseServiceConfig(forAll({ retryPolicy: { ...retryPolicy, retryableStatusCodes } })).policyOf(unary)?.retry
        ?.retryableCodes;
    for (let code = 1; code <= 16; code++) assert.deepEqual(codesOf(code), new Set([code]));
    assert.deepEqual(codesOf("CANCELLED", "canceled", "Cancelled"), new Set([Code.Canceled]));
    assert.deepEqual(codesOf("Data_Loss", "UNAUTHENTICATED"), new Set([Code.DataLoss, Code.Unauthenticated]));
    for (const code of [0, 17, -1, 1.5, "14", "OK", "UNKNOWN_CODE", "", null, {}, "Unavailable"]) {
      if (code === "Unavailable") assert.deepEqual(codesOf(code), new Set([Code.Unavailable]));
      else assert.throws(() => codesOf(code), ServiceConfigError, String(code));
    }
    assert.deepEqual(problems(forAll({ retryPolicy: { ...retryPolicy, retryableStatusCodes: ["UNAVAILBLE", 14] } })), [
      "methodConfig[0].retryPolicy.retryableStatusCodes[0] must be the name of a gRPC code but OK, or its number" +
        ' (did you mean "UNAVAILABLE"?): received "UNAVAILBLE"',
    ]);
  });

  test("caps attempts at five, with a warning", () => {
    const config = parseServiceConfig(forAll({ retryPolicy: { ...retryPolicy, maxAttempts: 9 } }));
    assert.equal(config.policyOf(unary)?.retry?.maxAttempts, 5);
    assert.deepEqual(config.warnings, [
      "methodConfig[0].retryPolicy.maxAttempts counts as 5, the most there are: it is 9",
    ]);
    const hedged = parseServiceConfig(forAll({ hedgingPolicy: { maxAttempts: "6" } }));
    assert.equal(hedged.policyOf(unary)?.hedging?.maxAttempts, 5);
    for (const maxAttempts of [0, 1, -2, 2.5, "x", null, undefined, 2 ** 32, Number.NaN]) {
      assert.equal(problems(forAll({ hedgingPolicy: { maxAttempts } })).length, 1, String(maxAttempts));
    }
  });

  test("ignores what it does not know, and warns of it with what may be meant", () => {
    const config = parseServiceConfig({
      method_config: [],
      connectionScaling: {},
      somethingElse: 1,
      methodConfig: [{ name: [{ servce: "a" }], timeOut: "1s", retrypolicy: {} }, { timeout: "1s" }],
      loadBalancingConfig: [{ round_robin: { shuffle: true } }],
    });
    assert.deepEqual(config.warnings, [
      'method_config is not known and is ignored: did you mean "methodConfig"?',
      "connectionScaling is not known and is ignored",
      "somethingElse is not known and is ignored",
      'methodConfig[0].timeOut is not known and is ignored: did you mean "timeout"?',
      'methodConfig[0].retrypolicy is not known and is ignored: did you mean "retryPolicy"?',
      'methodConfig[0].name[0].servce is not known and is ignored: did you mean "service"?',
      'methodConfig[1] is for no method, as it has no "name", and is ignored',
      "loadBalancingConfig[0].round_robin.shuffle is not known and is ignored",
    ]);
    assert.equal(config.policyOf(bidi)?.timeoutMs, undefined);
  });

  test("takes the first load balancing policy that there is", () => {
    const policyOf = (json: object) => parseServiceConfig(json).loadBalancing;
    assert.equal(policyOf({ loadBalancingConfig: [{ xds: {} }, { round_robin: {} }, { a: 1, b: 2 }] }), "round_robin");
    assert.equal(policyOf({ loadBalancingPolicy: "ROUND_ROBIN" }), "round_robin");
    assert.equal(
      policyOf({ loadBalancingPolicy: "grpclb", loadBalancingConfig: [{ round_robin: {} }] }),
      "round_robin",
    );
    assert.deepEqual(problems({ loadBalancingConfig: [{ pick_first: {} }, { xds: {} }] }), [
      "loadBalancingConfig must have a policy that lictor knows (round_robin, outlier_detection_experimental):" +
        ' received "pick_first", "xds"',
    ]);
    assert.deepEqual(problems({ loadBalancingConfig: [{ round_robin: {}, xds: {} }] }), [
      "loadBalancingConfig[0] must have the name of one policy as its only field: received 2",
    ]);
    assert.deepEqual(problems({ loadBalancingPolicy: "pick_first" }), [
      'loadBalancingPolicy must be "round_robin": received "pick_first"',
    ]);
    assert.deepEqual(problems({ loadBalancingConfig: [{ round_robin: 1 }] }), [
      "loadBalancingConfig[0].round_robin must be an object: received 1",
    ]);
  });

  test("reads outlier detection with the defaults of gRFC A50", () => {
    const outlierOf = (config: object) => {
      const child = { childPolicy: [{ round_robin: {} }] };
      const json = { loadBalancingConfig: [{ outlier_detection_experimental: { ...child, ...config } }] };
      const { loadBalancing, outlierDetection } = parseServiceConfig(json);
      assert.equal(loadBalancing, "round_robin");
      return outlierDetection;
    };
    assert.deepEqual(outlierOf({ successRateEjection: {}, failurePercentageEjection: {} }), {
      intervalMs: 10_000,
      baseEjectionMs: 30_000,
      maxEjectionMs: 300_000,
      maxEjectionPercent: 10,
      successRate: { stdevFactor: 1.9, enforcementPercent: 100, minimumHosts: 5, requestVolume: 100 },
      failurePercentage: { thresholdPercent: 85, enforcementPercent: 100, minimumHosts: 5, requestVolume: 50 },
    });
    assert.deepEqual(outlierOf({ interval: "2s", baseEjectionTime: "400s", maxEjectionPercent: 0 }), {
      intervalMs: 2000,
      baseEjectionMs: 400_000,
      maxEjectionMs: 400_000,
      maxEjectionPercent: 0,
      successRate: undefined,
      failurePercentage: undefined,
    });
    const place = "loadBalancingConfig[0].outlier_detection_experimental";
    const wrong = { interval: "0s", maxEjectionPercent: 101, successRateEjection: { enforcementPercentage: -1 } };
    assert.deepEqual(problems({ loadBalancingConfig: [{ outlier_detection_experimental: wrong }] }), [
      `${place}.childPolicy must be a list of policies: received nothing`,
      `${place}.interval must be a duration > 0 in seconds like "1.5s": received "0s"`,
      `${place}.maxEjectionPercent must be an integer from 0 to 100: received 101`,
      `${place}.successRateEjection.enforcementPercentage must be an integer from 0 to 100: received -1`,
    ]);
  });

  test("holds against JSON that nobody means", () => {
    const texts = [
      '{"__proto__": {"methodConfig": []}}',
      '{"methodConfig": [{"name": [{"service": "__proto__", "method": "constructor"}]}]}',
      '{"constructor": 1, "toString": {}, "hasOwnProperty": 1}',
      `{"methodConfig": ${"[".repeat(500)}${"]".repeat(500)}}`,
      `{"${"x".repeat(100_000)}": 1}`,
    ];
    for (const text of texts) {
      try {
        const { warnings } = parseServiceConfig(text);
        for (const warning of warnings) assert.ok(warning.length < 300);
      } catch (error) {
        assert.ok(error instanceof ServiceConfigError, String(error));
        assert.ok(error.message.length < 2000);
      }
    }
  });
});

test("parseServiceConfig() reads whatever JSON there is, or says what is wrong with it", () => {
  const { random, seed } = seededRandom();
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const names = (
    "methodConfig name service method timeout waitForReady retryPolicy hedgingPolicy maxAttempts initialBackoff maxBackoff " +
    "backoffMultiplier retryableStatusCodes nonFatalStatusCodes hedgingDelay retryThrottling maxTokens tokenRatio round_robin " +
    "loadBalancingConfig loadBalancingPolicy outlier_detection_experimental childPolicy interval healthCheckConfig serviceName " +
    "maxRequestMessageBytes successRateEjection threshold __proto__ constructor other"
  ).split(" ");
  const leaves = [
    null,
    true,
    0,
    1,
    5,
    -1,
    0.5,
    1e300,
    "",
    "1s",
    "0.5s",
    "UNAVAILABLE",
    "round_robin",
    "5",
    echo,
    "Unary",
  ];
  const make = (depth: number): unknown => {
    const kind = random();
    if (depth === 0 || kind < 0.3) return pick(leaves);
    const size = Math.floor(random() * 5);
    if (kind < 0.55) return Array.from({ length: size }, () => make(depth - 1));
    return Object.fromEntries(Array.from({ length: size }, () => [pick(names), make(depth - 1)]));
  };
  for (let round = 0; round < 3000; round++) {
    const text = JSON.stringify(make(6));
    try {
      const config = parseServiceConfig(text);
      config.policyOf(unary);
    } catch (error) {
      assert.ok(error instanceof ServiceConfigError, `SEED=${seed} ${text}: ${error}`);
    }
  }
});

test("ServiceConfigJson completes literals, and lets JSON modules through", () => {
  const fromFile = JSON.parse("{}") as { methodConfig: { name: { service: string }[]; timeout: string }[] };
  const json: ServiceConfigJson = fromFile;
  assert.ok(json);
  // @ts-expect-error no such field
  const misspelt: ServiceConfigJson = { methodConfigs: [] };
  assert.ok(misspelt);
  // @ts-expect-error a policy needs all its fields
  const half: ServiceConfigJson = { methodConfig: [{ name: [{}], retryPolicy: { maxAttempts: 2 } }] };
  assert.ok(half);
});
