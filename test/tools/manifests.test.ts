import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type DenoJson, manifestDifferences, type PackageJson } from "./manifests.ts";

const npm: PackageJson = {
  name: "lictor",
  version: "1.2.3",
  license: "Apache-2.0",
  exports: {
    ".": { types: "./dist/src/index.d.ts", default: "./dist/src/index.js" },
    "./package.json": "./package.json",
  },
  dependencies: { left: "^1.0.0" },
  peerDependencies: { "@scope/right": "^2.0.0" },
};
const deno: DenoJson = {
  name: "@lictor/lictor",
  version: "1.2.3",
  license: "Apache-2.0",
  exports: { ".": "./src/index.ts" },
  imports: { left: "npm:left@^1.0.0", "@scope/right": "npm:@scope/right@^2.0.0" },
};

describe("manifestDifferences()", () => {
  test("is empty when both say the same, the scope and npm's own entries aside", () => {
    assert.deepEqual(manifestDifferences(npm, deno), []);
  });

  const changes: readonly (readonly [title: string, npm: Partial<PackageJson>, lines: readonly string[]])[] = [
    ["the name", { name: "liktor" }, ["- package.json: name liktor", "+ deno.json: name lictor"]],
    ["the version", { version: "1.2.4" }, ["- package.json: version 1.2.4", "+ deno.json: version 1.2.3"]],
    ["the license", { license: "MIT" }, ["- package.json: license MIT", "+ deno.json: license Apache-2.0"]],
    [
      "a range",
      { dependencies: { left: "^1.1.0" } },
      ["- package.json: package left: npm:left@^1.1.0", "+ deno.json: package left: npm:left@^1.0.0"],
    ],
    ["a package that npm lacks", { dependencies: {} }, ["+ deno.json: package left: npm:left@^1.0.0"]],
    [
      "what an entry's types are of",
      { exports: { ".": { types: "./dist/src/edge.d.ts", default: "./dist/src/index.js" } } },
      ["- package.json: entry .: types of ./src/edge.ts", "+ deno.json: entry .: types of ./src/index.ts"],
    ],
    [
      "an entry that Deno lacks",
      { exports: { ...npm.exports, "./x": { types: "./dist/src/x.d.ts", default: "./src/x.mjs" } } },
      ["- package.json: entry ./x: types of ./src/x.ts", "- package.json: entry ./x: code of ./src/x.mjs"],
    ],
  ];
  for (const [title, change, lines] of changes) {
    test(`tells ${title}`, () => {
      assert.deepEqual(manifestDifferences({ ...npm, ...change }, deno), lines);
    });
  }
});
