// `lictor demo`, npm start: the whole of lictor in one command. Servers that announce themselves in Consul, are stopped and
// started elsewhere, and callers that find them.

import process from "node:process";
import { type Clock, sleep, systemClock } from "../core/clock.ts";
import { formatHostPort, parseHostPort } from "../core/host-port.ts";
import type { Logger } from "../core/logger.ts";
import { createHelloClient } from "../hello/create-hello-client.ts";
import { watchService } from "../resolver/watch-service.ts";
import { closeOnSignal } from "../runtime/close-on-signal.ts";
import { type CommandSpec, type Environment, type Invocation, runCommand } from "./command-line.ts";
import { consulFlags, consulNote } from "./consul-flags.ts";
import { runDemoCallers } from "./demo-callers.ts";
import { type DemoConsul, findDemoConsul } from "./demo-consul.ts";
import { type DemoServers, startDemoServers } from "./demo-servers.ts";
import { createDemoTally, type DemoTally } from "./demo-tally.ts";
import { type DemoView, showDemo, summaryLines } from "./demo-view.ts";
import { type FlagTable, flag } from "./flags.ts";
import { findFreePorts } from "./free-ports.ts";
import { openStandardOutput } from "./standard-output.ts";
import { createStderrLogger } from "./stderr-logger.ts";
import { createTerminal } from "./terminal.ts";

const flags = {
  consul: {
    ...consulFlags.consul,
    defaultText: "an agent that answers on 127.0.0.1:8500, else an embedded one",
  },
  "token-file": consulFlags["token-file"],
  for: flag.optionalDuration({
    placeholder: "TIME",
    minMs: 1,
    defaultText: "until Ctrl-C",
    help: "How long to call.",
  }),
  json: flag.toggle({ help: "One line of JSON on stdout at the end, everything else on stderr." }),
  "fault-interval": flag.duration({
    placeholder: "TIME",
    default: "15s",
    minMs: 100,
    help: "A server is stopped, and started on another port, this often; the two take turns.",
  }),
  "fault-order": flag.choice({
    of: ["before", "after"],
    default: "before",
    help: "Whether a server leaves Consul before it stops, or after, as the original did.",
  }),
} satisfies FlagTable;

const spec: CommandSpec<typeof flags> = {
  name: "lictor demo",
  summary: [
    "Runs two HelloService servers in a process of their own, stops and restarts them in turn, and calls them from four clients,",
    "each every 50 ms. Shows calls, failures, each server's share, and which servers came and went.",
  ],
  argument: { name: "NAME", help: "Name to greet with. (default GrassInWind2019)" },
  flags,
  notes: [
    consulNote,
    'With --json: {"consul":"real|embedded","calls":N,"failures":N,"servers":{"HOST:PORT":N}}; calls is the sum of failures and all servers\' numbers.',
    "Exit code: 1 if no call succeeded or the demo could not start, 2 for a wrong flag, else 0. Ctrl-C ends it with a summary and takes the servers out of Consul.",
  ],
};

const service = "HelloService";
const host = "127.0.0.1";
const firstPort = 10_000;
const serverCount = 2;
const callerCount = 4;
const callEveryMs = 50;
const callTimeoutMs = 10_000;
/** With no server in Consul after this long the callers start all the same: their failures say what is wrong. */
const listedWithinMs = 10_000;

/** Runs the demo; resolves with the exit code. */
export function demoCommand(args: readonly string[], env: Environment): Promise<number> {
  return runCommand(spec, args, env, (invocation) => runDemo(invocation, env, systemClock));
}

async function runDemo({ flags, argument }: Invocation<typeof flags_>, env: Environment, clock: Clock): Promise<number> {
  const output = openStandardOutput();
  const terminal = createTerminal(flags.json ? process.stderr : process.stdout, env);
  const logger = createStderrLogger({ level: "warn", format: "text", env, write: (line) => note(line) });
  let note = terminal.line;

  const interrupted = new AbortController();
  const signals = closeOnSignal({ close: async () => interrupted.abort() }, { exit: false });
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => signals.dispose());

  const consul = await findDemoConsul(flags, env, logger);
  cleanup.defer(() => consul.close());
  const tally = createDemoTally(clock);
  const title = `lictor demo: Consul is ${consul.kind === "real" ? "the agent" : "embedded"} at ${consul.client.address}`;
  const view = showDemo({ terminal, tally, title, clock });
  cleanup.defer(() => view.finish());
  note = view.note;
}
