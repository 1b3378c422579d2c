// The import graph that the check of import directions stands on.

import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { findCycles, readImports } from "./import-graph.ts";
import { projectFolder } from "./runtimes.ts";

describe("readImports()", () => {
  test("readImports() sees every form of import when the target is a type, a value or a package", () => {
    const name = `${crypto.randomUUID()}.ts`;
    const path = fileURLToPath(new URL(name, import.meta.url));
    writeFileSync(
      path,
      `/// <reference types="node" />
      import type { Endpoint } from "../../src/core/endpoint.ts";
      import { type Clock } from "../../src/core/clock.ts";
      export type { Logger } from "../../src/core/logger.ts";
      export type R = import("../../src/core/random.ts").Random;
      export const later = () => import("../../src/core/backoff.ts");
      import "./junit.ts";
      import "node:fs";
      import { Code } from "@connectrpc/connect";
      `,
    );
    try {
      const file = path.slice(projectFolder.length);
      const targets = readImports([file]).filter(({ from }) => from === file);
      assert.deepEqual(targets.map(({ to, isFile }) => (isFile ? to : `package ${to}`)).sort(), [
        "package @connectrpc/connect",
        "package node:fs",
        "src/core/backoff.ts",
        "src/core/clock.ts",
        "src/core/endpoint.ts",
        "src/core/logger.ts",
        "src/core/random.ts",
        "test/tools/junit.ts",
      ]);
    } finally {
      rmSync(path);
    }
  });
});

describe("findCycles()", () => {
  const file = (from: string, to: string) => ({ from, to, isFile: true });

  test("findCycles() names the files of a cycle when there is one", () => {
    const imports = [file("entry", "a"), file("a", "b"), file("b", "c"), file("c", "a"), file("c", "d")];
    assert.deepEqual(findCycles(imports), [["a", "b", "c", "a"]]);
  });

  test("findCycles() finds nothing when two ways lead to one file", () => {
    assert.deepEqual(findCycles([file("a", "b"), file("a", "c"), file("b", "d"), file("c", "d")]), []);
  });
});
