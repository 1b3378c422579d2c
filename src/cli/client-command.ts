// `lictor call`, client.ts: the original's client. Calls SayHello for ever, a line for each call.

import type { Logger } from "../core/logger.ts";
import { createHelloClient, type HelloClient } from "../hello/create-hello-client.ts";
import { type ParsedTarget, readTarget } from "../resolver/target.ts";
import { closeOnSignal } from "../runtime/close-on-signal.ts";
import { refuseBadSettings } from "./bad-settings.ts";
import { callInLoop } from "./call-loop.ts";
import { type CommandSpec, type Environment, type Invocation, runCommand, UsageError } from "./command-line.ts";
import { consulClientFor, consulFlags, consulNote } from "./consul-flags.ts";
import { type FlagTable, flag } from "./flags.ts";
import { readNamedFile } from "./read-named-file.ts";
import { openStandardOutput } from "./standard-output.ts";
import { createStderrLogger, logFlags } from "./stderr-logger.ts";

const flags = {
  target: flag.text({
    placeholder: "TARGET",
    help:
      "Agent, service and more in one: consul://HOST[:PORT]/SERVICE?tag=v2&dc=dc1&scheme=https, each but consul:// optional. " +
      "Instead of --consul and --service.",
  }),
  consul: consulFlags.consul,
  service: flag.text({ placeholder: "NAME", default: "HelloService", help: "Service to look up in Consul." }),
  every: flag.duration({
    placeholder: "TIME",
    default: "2s",
    minMs: 0,
    help: "Pause between an answer and the next call.",
  }),
  timeout: flag.duration({ placeholder: "TIME", default: "60s", minMs: 1, help: "Deadline of each call." }),
  calls: flag.count({
    placeholder: "CALLS",
    short: "n",
    min: 1,
    max: 1e15,
    help: "Stop after so many calls; the exit code is 1 if any failed. Without it: for ever.",
  }),
  tls: flag.toggle({ help: "Call over TLS. A target with scheme=https does too." }),
  "tls-ca": flag.text({
    placeholder: "FILE",
    defaultText: "those that the runtime trusts",
    help: "Certificate authorities in PEM that may have signed the servers' certificates. Calls over TLS.",
  }),
  "token-file": consulFlags["token-file"],
  ...logFlags("warn"),
} satisfies FlagTable;

const spec: CommandSpec<typeof flags> = {
  name: "lictor call",
  summary: [
    "Finds HelloService in Consul and calls SayHello(NAME, 1, 2) on its servers in turn, for ever. One line per call on stdout:",
    '"client get message: MESSAGE, result: N" or "client call SayHello failed: CODE TEXT".',
  ],
  argument: { name: "NAME", help: "Name to greet with. (default GrassInWind2019)" },
  flags,
  notes: [
    consulNote,
    "While no server is there, calls wait within their deadline, and stderr says for what; with --calls they fail at once.",
    "Exit code: 0 after the last call or a signal; 1 when a call of --calls failed; 2 for a wrong flag. Durations are written 500ms, 20s, 1m30s.",
  ],
};

/** Runs the client; resolves with the exit code. */
export function clientCommand(args: readonly string[], env: Environment): Promise<number> {
  return runCommand(spec, args, env, async ({ flags, given, argument }) => {
    if (argument !== undefined && /^\s*consul(\+https)?:\/\//i.test(argument)) {
      // Not repeated: it may hold a secret that belongs nowhere.
      throw new UsageError("NAME is whom to greet, and looks like a target: write --target=consul://…");
    }
    const output = openStandardOutput();
    const logger = createStderrLogger({ level: flags.log, format: flags["log-format"], env });
    const client = openClient({ flags, given }, env, logger);
    const stopped = new AbortController();
    const signals = closeOnSignal({ close: async () => stopped.abort() }, { exit: false });
    try {
      const { failures } = await callInLoop({
        client,
        name: argument ?? "GrassInWind2019",
        pauseMs: flags.every,
        timeoutMs: flags.timeout,
        ...(flags.calls === undefined ? {} : { calls: flags.calls }),
        signal: AbortSignal.any([stopped.signal, output.gone]),
        write: output.line,
      });
      return flags.calls !== undefined && failures > 0 && !stopped.signal.aborted ? 1 : 0;
    } finally {
      await client.close();
      signals.stop();
    }
  });
}

type Settings = Pick<Invocation<typeof flags>, "flags" | "given">;

/** The client that flags and environment ask for. Throws UsageError where they do not go together. */
function openClient({ flags, given }: Settings, env: Environment, logger: Logger): HelloClient {
  const { consul: agent, scheme, ...query } = queryOf({ flags, given });
  const caFile = flags["tls-ca"];
  // Looked at for the flag's own words; the transport reads it, and again when it changes.
  if (caFile !== undefined) readNamedFile("--tls-ca", caFile);
  if (scheme === "http" && (flags.tls || caFile !== undefined)) {
    throw new UsageError(`--${flags.tls ? "tls" : "tls-ca"} and --target disagree: the target says scheme=http`);
  }
  const tls = caFile === undefined ? flags.tls || scheme === "https" : { caFile };
  return refuseBadSettings(() =>
    createHelloClient({
      ...query,
      consul: consulClientFor(flags, env, logger, agent),
      tls,
      // Who counts calls wants to know now; who calls for ever wants answers, and is told on stderr what calls wait for.
      waitForReady: flags.calls === undefined,
      logger,
    }),
  );
}

/** What target and flags say together. */
function queryOf({ flags, given }: Settings): ParsedTarget {
  if (flags.target === undefined) return { consul: {}, service: flags.service };
  const { target } = flags;
  const { service, ...said } = refuseBadSettings(() => readTarget(target));
  if (given.has("service") && service !== undefined) {
    throw new UsageError("--service and --target both name the service: leave one out, like consul://127.0.0.1:8500");
  }
  if (given.has("consul") && said.consul.address !== undefined) {
    throw new UsageError("--consul and --target both name the agent: leave one out, like consul:///HelloService");
  }
  return { ...said, service: service ?? flags.service };
}
