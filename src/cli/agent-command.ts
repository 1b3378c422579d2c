// `lictor agent`: the embedded Consul agent alone, until a signal ends it. For demos and tests; it says so.

import process from "node:process";
import { closeOnSignal } from "../runtime/close-on-signal.ts";
import { type EmbeddedConsul, type EmbeddedConsulOptions, startEmbeddedConsul } from "../testing/embedded-consul.ts";
import { type CommandSpec, runCommand } from "./command-line.ts";
import { flag } from "./flags.ts";
import { openStandardOutput } from "./standard-output.ts";

const flags = {
  host: flag.text({ placeholder: "HOST", help: "Address to listen on.", default: "127.0.0.1" }),
  port: flag.count({
    placeholder: "PORT",
    help: "Port to listen on; 0 takes a free one.",
    min: 0,
    max: 65535,
    default: 8500,
  }),
  compat: flag.choice({
    of: ["1.8", "1.22"],
    help: "Version of Consul to answer like, where versions differ.",
    default: "1.8",
  }),
};

const spec: CommandSpec<typeof flags> = {
  name: "lictor agent",
  summary: [
    "Runs the embedded Consul agent: one node, in memory, the part of Consul's HTTP API that service discovery uses. " +
      "For demos and tests; it is no Consul.",
  ],
  flags,
  notes: ["Prints `ready http://HOST:PORT` on stdout once it listens; everything else goes to stderr."],
};

/** Runs `lictor agent`. Exit codes: 0 after a signal, 1 where the port cannot be had, 2 for flags it does not understand. */
export function agentCommand(args: readonly string[]): Promise<number> {
  // Reads no environment: a program meant to reach Consul by its variables should not start one by them.
  return runCommand(spec, args, {}, async ({ flags: options }) => {
    const stdout = openStandardOutput();
    const agent = await start(options);
    process.stderr.write(
      "lictor agent: the embedded Consul agent, for demos and tests; it forgets everything when it ends\n",
    );
    const closed = Promise.withResolvers<void>();
    // The readers of stdout only need the first line.
    using _signals = closeOnSignal(
      {
        async close() {
          await agent.close();
          closed.resolve();
        },
      },
      { exit: false },
    );
    stdout.line(`ready ${agent.address}`);
    await closed.promise;
    return 0;
  });
}

async function start(options: EmbeddedConsulOptions): Promise<EmbeddedConsul> {
  try {
    return await startEmbeddedConsul(options);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    const where = `${options.host}:${options.port}`;
    if (code === "EADDRINUSE") throw new Error(`Cannot listen on ${where} as the port is in use`, { cause: error });
    throw new Error(`Cannot listen on ${where}: ${error instanceof Error ? error.message : error}`, { cause: error });
  }
}
