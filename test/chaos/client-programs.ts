// Which programs play: ours, or a rival's with the same arguments and the same ledger. grpc-js plays both sides, grpc-go the client's alone.

import { spawnSync } from "node:child_process";
import { type SpawnedCommand, spawnCommand } from "../support/spawn-command.ts";
import { spawnOn } from "../support/spawn-on.ts";
import { projectFolder, type RuntimeName } from "../tools/runtimes.ts";

/** The programs there are. */
export const clientPrograms = ["lictor", "grpc-js", "grpc-go"] as const;

/** One of them. */
export type ClientProgram = (typeof clientPrograms)[number];

/** Where the client on grpc-go is built. */
const goClient = `${projectFolder}node_modules/.cache/chaos/client`;

/** Builds what must be built; Go's own cache knows what is out of date. Throws Error where that fails. */
export function prepareClient(program: ClientProgram): void {
  if (program !== "grpc-go") return;
  // A checkout that belongs to somebody else stops -buildvcs.
  const { status, error } = spawnSync("go", ["build", "-buildvcs=false", "-o", goClient, "."], {
    cwd: `${projectFolder}test/chaos/rivals/go`,
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (status !== 0) throw new Error("Cannot build test/chaos/rivals/go", { cause: error });
}

/** Starts one. `runtime` is ours alone: grpc-js runs on Node. */
export function spawnClient(program: ClientProgram, runtime: RuntimeName, args: readonly string[]): SpawnedCommand {
  switch (program) {
    case "lictor":
      return spawnOn(runtime, "test/chaos/chaos-client.ts", args, { stdin: "pipe" });
    case "grpc-js":
      return spawnOn("node", "test/chaos/rivals/grpc-js.ts", args, { stdin: "pipe" });
    case "grpc-go":
      return spawnCommand(goClient, args, { stdin: "pipe" });
  }
}

/** Starts the server that belongs to a client. `runtime` is ours alone. */
export function spawnServer(program: ClientProgram, runtime: RuntimeName, args: readonly string[]): SpawnedCommand {
  if (program === "grpc-js") return spawnOn("node", "test/chaos/rivals/grpc-js-server.ts", args, { stdin: "pipe" });
  return spawnOn(runtime, "test/chaos/chaos-server.ts", args, { stdin: "pipe" });
}
