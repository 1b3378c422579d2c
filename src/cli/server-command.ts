// `lictor serve`, server.ts: HelloService servers announced in Consul, with the original's fault simulation on request.

import { readFileSync } from "node:fs";
import type { CheckOptions } from "../registry/register-options.ts";
import { closeOnSignal } from "../runtime/close-on-signal.ts";
import { type CommandSpec, type Environment, type Invocation, runCommand, UsageError } from "./command-line.ts";
import { consulClientFor, consulFlags, consulNote } from "./consul-flags.ts";
import { simulateFaults } from "./fault-simulation.ts";
import { type FlagTable, flag } from "./flags.ts";
import { type HelloServerOptions, parseAdvertise, startHelloServer } from "./hello-server.ts";
import { openStandardOutput } from "./standard-output.ts";
import { createStderrLogger, logFlags } from "./stderr-logger.ts";

const serverFlags = {
  service: flag.text({ placeholder: "NAME", default: "HelloService", help: "Name in Consul." }),
  host: flag.text({ placeholder: "HOST", default: "127.0.0.1", help: "Address to listen on; 0.0.0.0 or :: for all." }),
  port: flag.count({
    placeholder: "PORT",
    min: 0,
    max: 65_535,
    default: 10_000,
    env: "PORT",
    help: "Port of the first server, the others follow; 0 for any free one.",
  }),
  advertise: flag.text({
    placeholder: "HOST[:PORT]",
    defaultText: "where it listens",
    help: "Address told to Consul and named in answers, where clients reach the server by another one.",
  }),
  consul: consulFlags.consul,
  check: flag.choice({
    of: ["ttl", "grpc", "http", "tcp"],
    default: "ttl",
    help: "How Consul learns that a server works: it hears from the server (ttl), or asks it.",
  }),
  ttl: flag.optionalDuration({
    placeholder: "TIME",
    minMs: 1,
    defaultText: "20s",
    help: "Time without a heartbeat after which Consul takes a server for failed.",
  }),
  interval: flag.optionalDuration({
    placeholder: "TIME",
    minMs: 1,
    defaultText: "5s, or a quarter of a TTL below 20s",
    help: "Time between heartbeats, less than half the TTL, or between Consul's own checks.",
  }),
  tag: flag.list({ placeholder: "TAG", defaultText: "the service's name", help: "Tag in Consul." }),
  meta: flag.pairs({ placeholder: "KEY=VALUE", help: "Metadata in Consul." }),
  "deregister-after": flag.duration({
    placeholder: "TIME",
    minMs: 0,
    default: "10m",
    help: "Consul removes a server that has failed for this long, a minute at least; 0 for never.",
  }),
  grace: flag.duration({
    placeholder: "TIME",
    minMs: 0,
    default: "10s",
    help: "Time that calls under way get to finish when a server stops.",
  }),
  instances: flag.count({ placeholder: "N", min: 1, max: 1000, default: 1, help: "Servers to run side by side." }),
  "fault-interval": flag.optionalDuration({
    placeholder: "TIME",
    minMs: 1,
    defaultText: "no faults",
    help: "Simulates faults: this often one server is stopped gracefully, each in its turn, and started again at once, at least 5 ports higher.",
  }),
  "fault-order": flag.choice({
    of: ["before", "after"],
    default: "before",
    help: "Whether a server leaves Consul before it stops, or after, as the original did; after loses calls.",
  }),
  "tls-cert": flag.text({ placeholder: "FILE", help: "Certificate chain in PEM: serve TLS. With --tls-key." }),
  "tls-key": flag.text({ placeholder: "FILE", help: "Private key in PEM." }),
  "token-file": consulFlags["token-file"],
  ...logFlags("info"),
} satisfies FlagTable;

const spec: CommandSpec<typeof serverFlags> = {
  name: "lictor serve",
  summary: [
    "Serves HelloService over gRPC, gRPC-Web and Connect on one port, and announces it in Consul. Without Consul it serves all the",
    'same and registers when Consul comes. On stdout "ready HOST:PORT" for each server that serves: the port it really listens on,',
    "and a host by which this machine reaches it, whatever is announced. Logs go to stderr.",
  ],
  flags: serverFlags,
  notes: [
    consulNote,
    "NO_COLOR: plain text on terminals too. HOST is not read: some shells set it to the machine's name.",
    "Durations are written 500ms, 20s, 1m30s. SIGINT, SIGTERM, SIGHUP and SIGQUIT stop the servers gracefully; a second one ends the process at once. " +
      "Exit code: 0 after a clean stop, 1 for a failure such as a port in use, 2 for a wrong flag.",
  ],
};

/** Runs the servers until a signal arrives or `stop` aborts; resolves with the exit code. */
export function serverCommand(
  args: readonly string[],
  env: Environment,
  options: { readonly stop?: AbortSignal } = {},
): Promise<number> {
  return runCommand(spec, args, env, (invocation) => runServers(invocation, env, options.stop));
}

type Settings = Invocation<typeof serverFlags>;

async function runServers(invocation: Settings, env: Environment, stop: AbortSignal | undefined): Promise<number> {
  const { flags } = invocation;
  const output = openStandardOutput();
  const logger = createStderrLogger({ level: flags.log, format: flags["log-format"], env });
  const settings: HelloServerOptions = {
    ...serverSettings(invocation),
    consul: consulClientFor(flags, env, logger),
    logger,
    onReady: (address) => output.line(`ready ${address}`),
  };
  const faultIntervalMs = flags["fault-interval"];
  const simulation = simulateFaults({
    start: (port) => startHelloServer(settings, port),
    instances: flags.instances,
    firstPort: flags.port,
    ...(faultIntervalMs === undefined ? {} : { intervalMs: faultIntervalMs }),
    logger,
  });
  const stopping = Promise.withResolvers<void>();
  const close = () => {
    stopping.resolve();
    return simulation.close();
  };
  const signals = closeOnSignal({ close }, { exit: false, logger });
  const onStop = () => void close().catch(() => {});
  if (stop?.aborted) onStop();
  stop?.addEventListener("abort", onStop, { once: true });
  try {
    await simulation.started;
    await stopping.promise;
    await simulation.close();
    return 0;
  } finally {
    stop?.removeEventListener("abort", onStop);
    signals.stop();
  }
}

/** What the flags ask for. Throws UsageError where they do not go together. */
function serverSettings({ flags, given }: Settings): Omit<HelloServerOptions, "consul" | "logger" | "onReady"> {
  const { instances, port } = flags;
  if (port !== 0 && port + instances - 1 > 65_535) {
    throw new UsageError(`--port must leave room for ${instances} instances below 65536: received "${port}"`);
  }
  if (given.has("fault-order") && flags["fault-interval"] === undefined) {
    throw new UsageError("--fault-order needs --fault-interval");
  }
  const advertise = flags.advertise === undefined ? undefined : parseAdvertise(flags.advertise);
  if (advertise?.port !== undefined && (instances > 1 || flags["fault-interval"] !== undefined)) {
    throw new UsageError(
      "--advertise must be a HOST without a port where there are several servers or their ports change",
    );
  }
  return {
    service: flags.service,
    host: flags.host,
    ...(advertise === undefined ? {} : { advertise }),
    check: checkSettings(flags),
    ...(flags.tag.length === 0 ? {} : { tags: flags.tag }),
    meta: flags.meta,
    deregisterAfterMs: flags["deregister-after"],
    graceMs: flags.grace,
    ...tlsSettings(flags["tls-cert"], flags["tls-key"]),
    leaveConsul: flags["fault-order"],
  };
}

function checkSettings({ check: type, ttl, interval, "tls-cert": cert }: Settings["flags"]): CheckOptions {
  const intervalMs = interval === undefined ? {} : { intervalMs: interval };
  if (type === "ttl") {
    const ttlMs = ttl ?? 20_000;
    if (interval !== undefined && interval >= ttlMs / 2) {
      throw new UsageError(`--interval must be less than half of --ttl: received ${interval}ms and ${ttlMs}ms`);
    }
    return { type, ttlMs, ...intervalMs };
  }
  if (ttl !== undefined) throw new UsageError(`--ttl needs --check ttl: received --check ${type}`);
  if (type === "tcp") return { type, ...intervalMs };
  // The agent would need our CA among the system's: it asks whether the server answers, not who it is.
  return { type, ...intervalMs, ...(cert === undefined ? {} : { tls: { verify: false } }) };
}

function tlsSettings(certFile: string | undefined, keyFile: string | undefined): Pick<HelloServerOptions, "tls"> {
  if (certFile === undefined && keyFile === undefined) return {};
  if (certFile === undefined || keyFile === undefined) {
    throw new UsageError(
      `--tls-cert and --tls-key must come together: --tls-${certFile === undefined ? "cert" : "key"} is missing`,
    );
  }
  return { tls: { cert: readPem("--tls-cert", certFile), key: readPem("--tls-key", keyFile) } };
}

function readPem(flagName: string, file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new UsageError(
      `${flagName} must name a file that can be read: ${error instanceof Error ? error.message : error}`,
    );
  }
}
