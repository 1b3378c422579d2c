// `npm run workerd`: lictor/edge and lictor/edge/tcp in workerd, through miniflare. Stands outside of `npm test`, as miniflare is a Node program.
// Builds the grpc-go server of test/workerd/go. Without a Consul binary the cases over a real agent are skipped, and without Go those with
// grpc-go; they fail where CI=true.

import { spawnSync } from "node:child_process";
import process from "node:process";
import { echoDescriptors, echoServer } from "../workerd/tcp-servers.ts";
import { runSuite } from "./run-files.ts";
import { projectFolder } from "./runtimes.ts";

if (spawnSync("go", ["version"]).status !== 0) {
  console.error("!!! No Go on this machine: the cases with grpc-go cannot run.");
} else if (!buildGo()) {
  process.exit(1);
}
process.exitCode = await runSuite("test/workerd", { parts: process.argv.slice(2), jobs: 2 });

/** Builds what is out of date; Go's own cache knows. */
function buildGo(): boolean {
  const echo = ["build", "test/proto", "--path", "test/proto/lictor/test/v1/echo.proto", "--output", echoDescriptors];
  return (
    // A checkout that belongs to somebody else stops -buildvcs.
    run("go", ["build", "-buildvcs=false", "-o", echoServer, "."], `${projectFolder}test/workerd/go`) &&
    run(`${projectFolder}node_modules/.bin/buf`, echo, projectFolder)
  );
}

function run(program: string, args: readonly string[], cwd: string): boolean {
  const { status } = spawnSync(program, args, { cwd, stdio: ["ignore", "inherit", "inherit"] });
  if (status !== 0) console.error(`!!! ${program} ${args[0]} has failed`);
  return status === 0;
}
