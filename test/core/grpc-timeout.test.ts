import assert from "node:assert/strict";
import { test } from "node:test";
import { fitGrpcTimeout } from "../../src/core/grpc-timeout.ts";

const cases: readonly (readonly [given: string, fitting: string])[] = [
  ["99999999m", "99999999m"],
  ["100000000m", "100000S"],
  // No more than a timer of 2^31-1 ms can wait.
  ["2147483647m", "2147483S"],
  ["5000m", "5000m"],
  ["5S", "5S"],
  ["999999999H", "999999999H"],
  ["soon", "soon"],
];
for (const [given, fitting] of cases) {
  test(`fitGrpcTimeout() makes ${given} ${fitting}`, () => {
    assert.equal(fitGrpcTimeout(given), fitting);
  });
}
