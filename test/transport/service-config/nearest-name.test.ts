import assert from "node:assert/strict";
import { test } from "node:test";
import { nearestName } from "../../../src/transport/service-config/nearest-name.ts";

test("nearestName() finds what was meant, whatever its case, and nothing for what is unlike all", () => {
  const names = ["methodConfig", "retryThrottling", "timeout", "name"];
  for (const [written, meant] of [
    ["method_config", "methodConfig"],
    ["METHODCONFIG", "methodConfig"],
    ["methodConfigs", "methodConfig"],
    ["retryThrotling", "retryThrottling"],
    ["timout", "timeout"],
    ["nme", "name"],
    ["nm", undefined],
    ["", undefined],
    ["loadBalancing", undefined],
    ["x".repeat(10_000), undefined],
  ] as const) {
    assert.equal(nearestName(written, names), meant, written);
  }
});
