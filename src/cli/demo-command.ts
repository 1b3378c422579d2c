// `lictor demo`, npm start: the whole of lictor in one command. Servers that announce themselves in Consul, are stopped and
// started elsewhere, and callers that find them.

import process from "node:process";
import { type Clock, sleep, systemClock } from "../core/clock.ts";
import { formatDuration } from "../core/duration.ts";
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

const demoFlags = {
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

const spec: CommandSpec<typeof demoFlags> = {
  name: "lictor demo",
  summary: [
    "Runs two HelloService servers in a process of their own, stops and restarts them in turn, and calls them from four clients,",
    "each every 50 ms. Shows calls, failures, each server's share, and which servers came and went.",
  ],
  argument: { name: "NAME", help: "Name to greet with. (default GrassInWind2019)" },
  flags: demoFlags,
  notes: [
    consulNote,
    'With --json: {"consul":"real|embedded","calls":N,"failures":N,"servers":{"HOST:PORT":N}}; calls is the sum of failures and all servers\' numbers.',
    "Exit code: 1 if no call succeeded or the demo could not start, 2 for a wrong flag, else 0. Ctrl-C ends it with a summary and takes the servers out of Consul.",
  ],
};

const service = "HelloService";
const host = "127.0.0.1";
const usualPort = 10_000;
const serverCount = 2;
const callerCount = 4;
const callEveryMs = 50;
const callTimeoutMs = 10_000;
/** With no server in Consul after this long the callers start all the same: their failures say what is wrong. */
const listedWithinMs = 10_000;

/** Runs the demo; resolves with the exit code. */
export function demoCommand(args: readonly string[], env: Environment): Promise<number> {
  return runCommand(spec, args, env, (invocation) => runDemo(invocation, env));
}

async function runDemo({ flags, argument }: Invocation<typeof demoFlags>, env: Environment): Promise<number> {
  const clock = systemClock;
  const output = openStandardOutput();
  const terminal = createTerminal(flags.json ? process.stderr : process.stdout, env);
  let say = (line: string) => terminal.line(line);
  const logger = createStderrLogger({ level: "warn", format: "text", write: (line) => say(line) });
  const interrupted = new AbortController();
  const signals = closeOnSignal({ close: async () => interrupted.abort() }, { exit: false });
  const stop = AbortSignal.any([interrupted.signal, output.gone]);
  let consul: DemoConsul | undefined;
  let servers: DemoServers | undefined;
  let view: DemoView | undefined;
  try {
    consul = await findDemoConsul(flags, env, logger);
    const tally = createDemoTally(clock);
    const title = `lictor demo: Consul is ${consul.kind === "real" ? "the agent" : "embedded"} at ${consul.client.address}`;
    view = showDemo({ terminal, tally, title, clock });
    say = view.note;
    servers = await startServers(consul, flags, stop, (line) => say(`servers: ${line}`));
    await callServers({
      consul,
      servers,
      tally,
      name: argument ?? "GrassInWind2019",
      stop,
      forMs: flags.for,
      note: view.note,
      logger,
      clock,
    });
    view.finish();
    say = (line) => terminal.line(line);
    for (const line of summaryLines(tally)) say(line);
    if (flags.json) output.line(summaryJson(consul, tally));
    return tally.calls > tally.failures ? 0 : 1;
  } finally {
    view?.finish();
    say = (line) => terminal.line(line);
    if (servers !== undefined) {
      if (terminal.interactive) say("the servers leave Consul and stop");
      if (!(await servers.close())) say(`the servers did not stop cleanly: ${await servers.ended}`);
    }
    await consul?.close();
    signals.stop();
  }
}

/** Starts the servers on the usual ports, or on any where those are taken. Does not wait for them once told to stop. */
async function startServers(
  consul: DemoConsul,
  flags: { readonly "fault-interval": number; readonly "fault-order": string },
  stop: AbortSignal,
  onLog: (line: string) => void,
): Promise<DemoServers> {
  const start = (port: number): DemoServers => {
    const settings = {
      service,
      host,
      port,
      instances: serverCount,
      "fault-interval": formatDuration(flags["fault-interval"]),
      "fault-order": flags["fault-order"],
      log: "warn",
      "log-format": "text",
    };
    const args = Object.entries(settings).map(([name, value]) => `--${name}=${value}`);
    return startDemoServers({ args: [...args, ...consul.childFlags], env: consul.childEnv, onLog });
  };
  const stopped = new Promise<void>((resolve) => {
    if (stop.aborted) resolve();
    stop.addEventListener("abort", () => resolve(), { once: true });
  });
  const servers = start(await findFreePorts(host, usualPort, serverCount));
  try {
    await Promise.race([servers.ready, stopped]);
    return servers;
  } catch {
    // Somebody took a port in between, most likely. If it was something else, the second try fails alike and says why.
    const others = start(0);
    await Promise.race([others.ready, stopped]);
    return others;
  }
}

interface Calling {
  readonly consul: DemoConsul;
  readonly servers: DemoServers;
  readonly tally: DemoTally;
  readonly name: string;
  readonly stop: AbortSignal;
  readonly forMs: number | undefined;
  readonly note: (text: string) => void;
  readonly logger: Logger;
  readonly clock: Clock;
}

/** Watches the service and calls it, until told to stop, the time is over, or the servers' process ends by itself. */
async function callServers({ consul, servers, tally, name, stop, forMs, note, logger, clock }: Calling): Promise<void> {
  const over = new AbortController();
  const ended = AbortSignal.any([stop, over.signal]);
  servers.ended.then((how) => {
    if (!ended.aborted) note(`the servers' process ended by itself: ${how}`);
    over.abort();
  });
  const listed = new AbortController();
  const watching = watchServers(consul, tally, ended, () => listed.abort());
  const clients = Array.from({ length: callerCount }, () =>
    createHelloClient({ consul: consul.client, service, logger }),
  );
  let cancelEnd = () => {};
  try {
    // Calls made before a server is in Consul would only fail.
    await sleep(listedWithinMs, clock, AbortSignal.any([listed.signal, ended])).catch(() => {});
    if (forMs !== undefined) cancelEnd = clock.schedule(forMs, () => over.abort());
    await runDemoCallers({
      clients,
      name,
      tally,
      everyMs: callEveryMs,
      timeoutMs: callTimeoutMs,
      signal: ended,
      onFailure: atMostOneASecond(note, clock),
      clock,
    });
  } finally {
    cancelEnd();
    over.abort();
    await Promise.all([watching, ...clients.map((client) => client.close())]);
  }
}

/** Tells the tally who comes and goes, as any client sees it. Ends with the signal. */
async function watchServers(
  consul: DemoConsul,
  tally: DemoTally,
  signal: AbortSignal,
  onListed: () => void,
): Promise<void> {
  try {
    for await (const { endpoints } of watchService({ consul: consul.client, service, signal })) {
      tally.listed(endpoints.map(({ url }) => url.slice(url.indexOf("//") + 2)));
      if (endpoints.length > 0) onListed();
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** Passes on one failure a second, with the number of those kept back: a burst must not hide everything else. */
function atMostOneASecond(note: (text: string) => void, clock: Clock): (text: string) => void {
  let quietUntilMs = Number.NEGATIVE_INFINITY;
  let keptBack = 0;
  return (text) => {
    if (clock.now() < quietUntilMs) {
      keptBack++;
      return;
    }
    note(
      `client call SayHello failed: ${text}${keptBack === 0 ? "" : ` (and ${keptBack} more since the last one shown)`}`,
    );
    quietUntilMs = clock.now() + 1000;
    keptBack = 0;
  };
}

function summaryJson(consul: DemoConsul, tally: DemoTally): string {
  const answered = tally.servers.filter(({ calls }) => calls > 0).map(({ address, calls }) => [address, calls]);
  const { calls, failures } = tally;
  return JSON.stringify({ consul: consul.kind, calls, failures, servers: Object.fromEntries(answered) });
}
