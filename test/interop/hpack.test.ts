// Header blocks of ours, decoded by Go's golang.org/x/net and by Python's hpack. What they encode and ours decodes is in
// test/http2/hpack-vectors.test.ts.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import process from "node:process";
import { describe, test } from "node:test";
import { HeaderEncoder } from "../../src/http2/hpack/header-encoder.ts";
import { hpackStories, type Story } from "../http2/vectors/stories.ts";
import { projectFolder } from "../tools/runtimes.ts";
import { pythonFolder } from "./programs.ts";

const isStrict = process.env.CI === "true";
const venv = `${pythonFolder}bin/python`;
const python = existsSync(venv) ? venv : "python3";
const hasGo = spawnSync("go", ["version"]).status === 0;
const hasPython = spawnSync(python, ["-c", "import hpack"]).status === 0;

/** The blocks of a story, each list twice in a row: the second time much of it is in the table. */
function encode({ lists, tableBytes }: Story): {
  blocks: string[];
  tableBytes: Record<number, number>;
  lists: string[][];
} {
  const encoder = new HeaderEncoder();
  const twice = lists.flatMap((list) => [[...list], [...list]]);
  const sizes = Object.fromEntries(Object.entries(tableBytes).map(([index, bytes]) => [Number(index) * 2, bytes]));
  const blocks = twice.map((list, index) => {
    const bytes = sizes[index];
    if (bytes !== undefined) encoder.setMaxTableBytes(bytes);
    const prepared = list.slice(0, -2);
    const varying = list.slice(-2);
    const out = new Uint8Array(HeaderEncoder.bound(list) + 16);
    const end = encoder.encodeUnindexed(varying, out, encoder.encode(prepared, out, 0));
    return Buffer.from(out.subarray(0, end)).toString("hex");
  });
  return { blocks, tableBytes: sizes, lists: twice };
}

describe("HeaderEncoder", () => {
  const stories = hpackStories().map(encode);
  const input = JSON.stringify(stories);
  for (const [decoder, program, args, folder, isThere] of [
    ["Go's golang.org/x/net", "go", ["run", ".", "decode"], "test/interop/hpack/go", hasGo],
    ["Python's hpack", python, ["hpack_stories.py", "decode"], "test/interop/hpack", hasPython],
  ] as const) {
    const skip = isThere || isStrict ? false : `no ${program} that could`;
    test(`encode() writes what ${decoder} reads`, { skip }, () => {
      const { status, stdout, stderr } = spawnSync(program, args, {
        cwd: projectFolder + folder,
        encoding: "utf8",
        input,
      });
      assert.equal(status, 0, stderr);
      assert.deepEqual(
        JSON.parse(stdout),
        stories.map(({ lists }) => lists),
      );
    });
  }
});
