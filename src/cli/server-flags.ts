// The flags and the help of `lictor serve`. Reads nothing.

import type { CommandSpec, Invocation } from "./command-line.ts";
import { consulFlags, consulNote } from "./consul-flags.ts";
import { type Flag, flag } from "./flags.ts";
import { type LogFormat, type LogLevel, logFlags } from "./stderr-logger.ts";

/** The flags, by the type of their values. */
export type ServerFlags = {
  readonly service: Flag<string | undefined>;
  readonly host: Flag<string>;
  readonly port: Flag<number>;
  readonly advertise: Flag<string | undefined>;
  readonly consul: Flag<string | undefined>;
  readonly check: Flag<"ttl" | "grpc" | "http" | "tcp">;
  readonly ttl: Flag<number | undefined>;
  readonly interval: Flag<number | undefined>;
  readonly tag: Flag<readonly string[]>;
  readonly meta: Flag<Readonly<Record<string, string>>>;
  readonly "deregister-after": Flag<number>;
  readonly grace: Flag<number>;
  readonly instances: Flag<number>;
  readonly "fault-interval": Flag<number | undefined>;
  readonly "fault-order": Flag<"before" | "after">;
  readonly reflection: Flag<"on" | "off">;
  readonly "cors-origin": Flag<readonly string[]>;
  readonly "tls-cert": Flag<string | undefined>;
  readonly "tls-key": Flag<string | undefined>;
  readonly "token-file": Flag<string | undefined>;
  readonly log: Flag<LogLevel>;
  readonly "log-format": Flag<LogFormat>;
};

const flags: ServerFlags = {
  service: flag.text({
    placeholder: "NAME",
    defaultText: "the name of the one service that is served, without its package",
    help: "Name in Consul.",
  }),
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
  reflection: flag.choice({
    of: ["on", "off"],
    default: "on",
    help: "Whether tools like grpcurl may ask which services there are and what their messages look like.",
  }),
  "cors-origin": flag.list({
    placeholder: "ORIGIN",
    defaultText: "none",
    help: "Pages of this origin may call from a browser, like https://app.example; * for all.",
  }),
  "tls-cert": flag.text({ placeholder: "FILE", help: "Certificate chain in PEM: serve TLS. With --tls-key." }),
  "tls-key": flag.text({ placeholder: "FILE", help: "Private key in PEM." }),
  "token-file": consulFlags["token-file"],
  ...logFlags("info"),
};

/** The command `lictor serve`. */
export const serverSpec: CommandSpec<ServerFlags> = {
  name: "lictor serve",
  summary: [
    "Serves HelloService, or the service of MODULE, over gRPC, gRPC-Web and Connect on one port, and announces it in Consul. Without",
    'Consul it serves all the same and registers when Consul comes. On stdout "ready HOST:PORT" for each server that serves: the port it really listens on,',
    "and a host by which this machine reaches it, whatever is announced. Logs go to stderr.",
  ],
  argument: {
    name: "MODULE",
    help:
      "A file, seen from the working directory, or a package. Its default export is a function that adds routes, or an object with it: " +
      "export default (router) => router.service(MyService, { ... }). (default HelloService)",
  },
  flags,
  notes: [
    "MODULE's object may also hold interceptors, maxReceiveBytes, fallback, cors, service, drainMarginMs (as the SDK's serve() has them) and " +
      "close(), which is called at the end and may take as long as --grace, a second at least; a flag wins over it. A module that " +
      "has not finished loading after 10s is warned of; where it awaits what cannot come any more, Node and Deno end with 1, and Bun waits on. " +
      "TypeScript is run as the runtime runs it: Node strips types from 22.18 on.",
    consulNote,
    "NO_COLOR: plain text on terminals too. HOST is not read: some shells set it to the machine's name.",
    "Durations are written 500ms, 20s, 1m30s. SIGINT, SIGTERM, SIGHUP and SIGQUIT stop the servers gracefully; a second one ends the process at once. " +
      "Exit code: 0 after a clean stop, 1 for a failure such as a port in use, 2 for a wrong flag.",
  ],
};

/** Its command line, understood. */
export type ServerInvocation = Invocation<ServerFlags>;
