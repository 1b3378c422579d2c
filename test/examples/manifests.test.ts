import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { exampleManifest, exampleNames, manifestComplaints, projectManifest } from "./manifest.ts";

describe("examples/", () => {
  for (const name of exampleNames()) {
    test(`${name} has the project's versions`, () => {
      assert.deepEqual(manifestComplaints(exampleManifest(name), projectManifest()), []);
    });
  }

  for (const name of ["own-service", "chat", "redis-cache"]) {
    test(`${name} is tested on Bun and Deno too`, () => {
      const { scripts = {} } = exampleManifest(name);
      assert.ok("test:bun" in scripts && "test:deno" in scripts);
    });
  }

  test("manifestComplaints() names what differs", () => {
    const project = {
      version: "1.2.3",
      peerDependencies: { peer: "^1.0.0" },
      devDependencies: { peer: "1.5.0", tool: "2.0.0" },
    };
    const good = {
      private: true,
      type: "module",
      scripts: { test: "node --test", types: "tsc" },
      dependencies: { lictor: "file:../../lictor-1.2.3.tgz", peer: "^1.0.0", other: "^3.0.0" },
      devDependencies: { tool: "2.0.0", another: "4.0.0" },
    };
    assert.deepEqual(manifestComplaints(good, project), []);
    const newer = { ...good, dependencies: { ...good.dependencies, peer: "^1.5.0" } };
    assert.deepEqual(manifestComplaints(newer, project), []);
    const bad = {
      dependencies: { lictor: "^1.2.3", peer: "1.5.0" },
      devDependencies: { tool: "2.0.1", another: "^4.0.0" },
    };
    assert.deepEqual(manifestComplaints(bad, project), [
      'must be "private"',
      'must have the "type" of modules',
      'has no script "test"',
      'has no script "types"',
      "has lictor ^1.2.3, the project file:../../lictor-1.2.3.tgz",
      "has peer 1.5.0, the project ^1.0.0 or ^1.5.0",
      "has tool 2.0.1, the project 2.0.0",
      "has another ^4.0.0, which is no exact version",
    ]);
  });
});
