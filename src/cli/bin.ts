#!/usr/bin/env node
// The command `lictor` as npm installs it. Loads nothing of lictor before it knows that the runtime can run it: an older Node
// would only say which function it lacks. Written so that Node 18 can read it.

import process from "node:process";

const oldestNode = 22;
const [major = 0] = process.versions.node.split(".").map(Number);

if (major < oldestNode) {
  process.stderr.write(`lictor: Node ${oldestNode} or later is needed, this is ${process.versions.node}\n`);
  process.exitCode = 1;
} else {
  await import("./main.ts");
}
