// What the servers of `lictor serve` are told: its flags, and below them what the module says. Reads the files that flags name.

import { isIP } from "node:net";
import { parseHostPort, stripBrackets } from "../core/host-port.ts";
import type { CheckOptions } from "../registry/register-options.ts";
import type { ServiceOptions } from "../server/serve-options.ts";
import type { ServiceModule } from "../server/service-module.ts";
import { UsageError } from "./command-line.ts";
import { readNamedFile } from "./read-named-file.ts";
import type { ServerInvocation } from "./server-flags.ts";
import type { ServiceServerOptions } from "./service-server.ts";

/** What flags and module ask for together. Throws UsageError where they do not go together. */
export function serverSettings(
  { flags, given }: ServerInvocation,
  module: Pick<ServiceModule, "service" | "cors">,
): Omit<ServiceServerOptions, "module" | "consul" | "logger" | "onReady"> {
  const { instances, port } = flags;
  if (port !== 0 && port + instances - 1 > 65_535) {
    throw new UsageError(`--port must leave room for ${instances} instances below 65536: received "${port}"`);
  }
  if (given.has("fault-order") && flags["fault-interval"] === undefined) {
    throw new UsageError("--fault-order needs --fault-interval");
  }
  const advertise = flags.advertise === undefined ? undefined : parseAdvertise(flags.advertise);
  const portsVary = instances > 1 || flags["fault-interval"] !== undefined;
  if (advertise?.port !== undefined && portsVary) {
    throw new UsageError(
      "--advertise must be a HOST without a port where there are several servers or their ports change",
    );
  }
  const cors = flags["cors-origin"].length > 0 ? flags["cors-origin"] : module.cors;
  return {
    service: serviceSettings({ flags, given }, module.service),
    host: flags.host,
    ...(advertise === undefined ? {} : { advertise }),
    ...(cors === undefined ? {} : { cors }),
    reflection: flags.reflection === "on",
    graceMs: flags.grace,
    ...tlsSettings(flags["tls-cert"], flags["tls-key"]),
    leaveConsul: flags["fault-order"],
  };
}

/** The module's settings, and over them what was said on the command line. */
function serviceSettings(
  { flags, given }: Pick<ServerInvocation, "flags" | "given">,
  service: ServiceModule["service"] = {},
): ServiceOptions {
  const own: ServiceOptions = typeof service === "string" ? { name: service } : service;
  if (own.id !== undefined && flags.instances > 1) {
    throw new UsageError("--instances must be 1 where the module gives the instance an id: an id is one server's");
  }
  const isCheckGiven = given.has("check") || given.has("ttl") || given.has("interval");
  return {
    ...own,
    ...(flags.service === undefined ? {} : { name: flags.service }),
    ...(flags.tag.length === 0 ? {} : { tags: flags.tag }),
    meta: { ...own.meta, ...flags.meta },
    check: own.check === undefined || isCheckGiven ? checkSettings(flags) : own.check,
    deregisterAfterMs: given.has("deregister-after")
      ? flags["deregister-after"]
      : (own.deregisterAfterMs ?? flags["deregister-after"]),
  };
}

function checkSettings({ check: type, ttl, interval, "tls-cert": cert }: ServerInvocation["flags"]): CheckOptions {
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

function tlsSettings(certFile: string | undefined, keyFile: string | undefined): Pick<ServiceServerOptions, "tls"> {
  if (certFile === undefined && keyFile === undefined) return {};
  if (certFile === undefined || keyFile === undefined) {
    throw new UsageError(
      `--tls-cert and --tls-key must come together: --tls-${certFile === undefined ? "cert" : "key"} is missing`,
    );
  }
  // Looked at for the flags' own words; the server reads them, and again when they change.
  readNamedFile("--tls-cert", certFile);
  readNamedFile("--tls-key", keyFile);
  return { tls: { certFile, keyFile } };
}

/** HOST or HOST:PORT as `--advertise` takes them; an IPv6 address with a port needs brackets. Throws UsageError. */
export function parseAdvertise(text: string): { readonly host: string; readonly port?: number } {
  const bare = stripBrackets(text);
  if (isIP(bare) !== 0 || /^[^:[\]\s/]+$/.test(text)) return { host: bare };
  try {
    const { host, port } = parseHostPort(text);
    if (port > 0 && (isIP(host) !== 0 || !text.startsWith("["))) return { host, port };
  } catch {
    // The message below says what both forms look like.
  }
  throw new UsageError(
    `--advertise must be HOST or HOST:PORT, the port from 1 to 65535: received ${JSON.stringify(text)}`,
  );
}
