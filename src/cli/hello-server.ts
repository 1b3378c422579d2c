// One HelloService server with its place in Consul, as the command line wants it: started on a port, stopped in the order chosen.

import { isIP } from "node:net";
import type { ConsulClient } from "../consul/consul-client.ts";
import { formatHostPort, parseHostPort, stripBrackets } from "../core/host-port.ts";
import type { Logger } from "../core/logger.ts";
import { createHelloService } from "../hello/hello-service.ts";
import type { CheckOptions, RegisterOptions } from "../registry/register-options.ts";
import { registerService } from "../registry/register-service.ts";
import type { Registration } from "../registry/registration.ts";
import { serve } from "../server/serve.ts";
import type { Server } from "../server/server.ts";
import { UsageError } from "./command-line.ts";
import type { RunningServer } from "./fault-simulation.ts";

/** What all servers of a command have in common. */
export interface HelloServerOptions {
  readonly consul: ConsulClient;
  readonly service: string;
  readonly host: string;
  /** What Consul is told instead of where the server listens. */
  readonly advertise?: { readonly host: string; readonly port?: number };
  readonly check: CheckOptions;
  /** Absent: `[service]`. */
  readonly tags?: readonly string[];
  readonly meta: Readonly<Record<string, string>>;
  readonly deregisterAfterMs: number;
  readonly graceMs: number;
  readonly tls?: { readonly cert: string; readonly key: string };
  /** `before`: out of Consul, then drained and stopped. `after`: stopped, then out of Consul, as the original did it. */
  readonly leaveConsul: "before" | "after";
  readonly logger: Logger;
  /** Told where the server serves: HOST:PORT as a caller on this machine reaches it. */
  readonly onReady: (address: string) => void;
}

/**
 * Starts a server; resolves when it serves, registered or not. Rejects with UsageError for settings that cannot be,
 * and with the server's own error for a busy port and the like; nothing is left running then.
 */
export async function startHelloServer(options: HelloServerOptions, port: number): Promise<RunningServer> {
  const {
    consul,
    service: name,
    host,
    advertise,
    check,
    tags,
    meta,
    deregisterAfterMs,
    graceMs,
    tls,
    logger,
  } = options;
  const service = { name, check, meta, deregisterAfterMs, ...(tags === undefined ? {} : { tags }) };
  const before = options.leaveConsul === "before";
  const server = refuseBadSettings(() =>
    serve({
      routes: createHelloService({
        onCall: (caller, address) => logger.info(`client ${caller} called SayHello from Server: ${address}`),
      }),
      host,
      port,
      graceMs,
      logger,
      ...(advertise === undefined ? {} : { advertise }),
      ...(tls === undefined ? {} : { tls }),
      ...(before ? { consul, service } : {}),
    }),
  );
  const address = await server.ready;
  const registration = before
    ? undefined
    : await registerApart({ ...service, consul, ...address.announced, logger }, server);
  options.onReady(formatHostPort(reachableHost(address.host), address.port));
  return {
    port: address.port,
    async close() {
      await server.close();
      await registration?.close();
    },
  };
}

/** A registration that outlives the server: the caller closes it after the server has stopped. */
async function registerApart(options: RegisterOptions, server: Server): Promise<Registration> {
  try {
    return refuseBadSettings(() => registerService(options));
  } catch (error) {
    await server.close();
    throw error;
  }
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

/** A wildcard is no address to connect to: on this machine its loopback is. */
function reachableHost(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  return stripBrackets(host) === "::" ? "::1" : host;
}

function refuseBadSettings<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError)
      throw new UsageError(error.message, { cause: error });
    throw error;
  }
}
