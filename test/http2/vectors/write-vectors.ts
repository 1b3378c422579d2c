// `PYTHON=… node test/http2/vectors/write-vectors.ts`: has nghttp2 (Node's), Go's golang.org/x/net and Python's hpack encode the stories, and
// writes vectors.json. Needs Node, Go, and a Python that has hpack; run by hand when the stories change.

import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import process from "node:process";
import { projectFolder } from "../../tools/runtimes.ts";
import { encodeWithNghttp2 } from "./nghttp2.ts";
import { hpackStories } from "./stories.ts";

const stories = hpackStories();
const go = run("go", ["run", ".", "encode"], `${projectFolder}test/interop/hpack/go`);
const python = run(
  process.env.PYTHON ?? "python3",
  ["hpack_stories.py", "encode"],
  `${projectFolder}test/interop/hpack`,
);
const nghttp2: string[][] = [];
for (const story of stories) nghttp2.push(await encodeWithNghttp2(story));
writeFileSync(new URL("vectors.json", import.meta.url), `${JSON.stringify({ nghttp2, go, python })}\n`);

function run(program: string, args: readonly string[], cwd: string): string[][] {
  const { status, stdout, stderr } = spawnSync(program, args, {
    cwd,
    encoding: "utf8",
    input: JSON.stringify(stories),
  });
  if (status !== 0) throw new Error(`Cannot encode with ${program}: ${stderr}`);
  return JSON.parse(stdout);
}
