import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { spawnScript } from "../support/spawn-command.ts";
import { findTestFiles } from "./run-files.ts";

test("findTestFiles() finds the files whose path holds one of the parts", () => {
  const all = findTestFiles("test/tools", []);
  assert.ok(all.includes("test/tools/junit.test.ts") && all.includes("test/tools/run-files.test.ts"));
  assert.deepEqual(findTestFiles("test/tools", ["junit", "run-files"]), [
    "test/tools/junit.test.ts",
    "test/tools/run-files.test.ts",
  ]);
  assert.deepEqual(findTestFiles("test/tools", ["nothing"]), []);
});

describe("runSuite()", () => {
  for (const suite of ["browser", "matrix", "outage", "workerd"]) {
    test(`ends with exit code 1 when there is no file to run: ${suite}`, async () => {
      await using tool = spawnScript(`test/tools/run-${suite}.ts`, ["no-such-file"]);
      assert.equal(await tool.exitCode, 1);
      assert.match(tool.stderr, new RegExp(`No test file in test/${suite} has a path that holds no-such-file`));
    });
  }
});
