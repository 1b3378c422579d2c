// The command `lictor`: hands its arguments to the command that the first of them names.

import process from "node:process";
import { type Environment, quoted } from "./command-line.ts";
import { demoServersCommand } from "./demo-servers.ts";
import { version } from "./version.ts";

const help = `Usage: lictor COMMAND [flags]

  demo    The whole of it in one command: Consul, two servers that come and go, four callers.
  serve   Serves a module of yours, or HelloService, and announces it in Consul.
  call    Finds HelloService in Consul and calls it.
  agent   Runs the embedded Consul agent alone: for demos and tests.

lictor COMMAND --help tells a command's flags; lictor --version the version.
`;

/** Runs `lictor` with these arguments; resolves with the exit code. Commands are loaded when they are run. */
async function run([command, ...args]: readonly string[], env: Environment): Promise<number> {
  switch (command) {
    case "demo":
      return (await import("./demo-command.ts")).demoCommand(args, env);
    case "serve":
      return (await import("./server-command.ts")).serverCommand(args, env);
    case "call":
      return (await import("./client-command.ts")).clientCommand(args, env);
    case "agent":
      return (await import("./agent-command.ts")).agentCommand(args);
    case demoServersCommand:
      // An open stdin would keep the process, on Deno 2.9.6 even one that was destroyed.
      return process.exit(
        await runUntilStandardInputEnds(async (stop) =>
          (await import("./server-command.ts")).serverCommand(args, env, { stop }),
        ),
      );
    case "--help":
    case "-h":
    case "help":
      process.stdout.write(help);
      return 0;
    case "--version":
      process.stdout.write(`lictor ${version}\n`);
      return 0;
    default:
      process.stderr.write(
        `lictor: ${command === undefined ? "which command?" : `unknown command ${quoted(command)}`} (demo, serve, call or agent; see lictor --help)\n`,
      );
      return 2;
  }
}

/** The demo's servers: whoever holds our stdin ends us by closing it, or by dying. */
function runUntilStandardInputEnds(command: (stop: AbortSignal) => Promise<number>): Promise<number> {
  const ended = new AbortController();
  const end = () => ended.abort();
  process.stdin.once("end", end).once("close", end).once("error", end);
  process.stdin.resume();
  return command(ended.signal);
}

process.exitCode = await run(process.argv.slice(2), process.env);
