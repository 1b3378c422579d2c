// One server of a service module with its place in Consul, as the command line wants it: started on a port, stopped in the
// order chosen. Knows no service.

import { isIP } from "node:net";
import type { ConnectRouter } from "@connectrpc/connect";
import type { ConsulClient } from "../consul/consul-client.ts";
import { formatHostPort, parseHostPort, stripBrackets } from "../core/host-port.ts";
import type { Logger } from "../core/logger.ts";
import type { RegisterOptions } from "../registry/register-options.ts";
import { registerService } from "../registry/register-service.ts";
import type { Registration } from "../registry/registration.ts";
import { serve } from "../server/serve.ts";
import type { ServiceOptions } from "../server/serve-options.ts";
import type { Server } from "../server/server.ts";
import type { ServiceModule } from "../server/service-module.ts";
import { refuseBadSettings } from "./bad-settings.ts";
import { UsageError } from "./command-line.ts";
import type { RunningServer } from "./fault-simulation.ts";
import { ModuleError } from "./service-module.ts";

/** What all servers of a command have in common. */
export interface ServiceServerOptions {
  /** What is served. Its `service` and `cors` are not read: see below. */
  readonly module: ServiceModule;
  readonly consul: ConsulClient;
  /** How it is registered. Absent name: that of the one routed service. */
  readonly service: ServiceOptions;
  readonly host: string;
  /** What Consul is told instead of where the server listens. */
  readonly advertise?: { readonly host: string; readonly port?: number };
  readonly cors?: ServiceModule["cors"];
  readonly reflection: boolean;
  readonly graceMs: number;
  readonly tls?: { readonly cert: string; readonly key: string };
  /** `before`: out of Consul, then drained and stopped. `after`: stopped, then out of Consul, as the original did it. */
  readonly leaveConsul: "before" | "after";
  readonly logger: Logger;
  /** Told where the server serves: HOST:PORT as a caller on this machine reaches it. */
  readonly onReady: (address: string) => void;
}

/**
 * Starts a server; resolves when it serves, registered or not. Rejects with UsageError for settings that cannot be, and with
 * ModuleError for routes that throw, or the server's own error for a busy port and the like; nothing is left running then.
 */
export async function startServiceServer(options: ServiceServerOptions, port: number): Promise<RunningServer> {
  const { module, consul, service, host, advertise, cors, reflection, graceMs, tls, logger } = options;
  const { routes, interceptors, maxReceiveBytes, fallback, drainMarginMs } = module;
  const before = options.leaveConsul === "before";
  let name = service.name;
  const server = refuseBadSettings(() =>
    serve({
      routes(router, server) {
        callRoutes(routes, router, server);
        name ??= onlyService(router);
      },
      host,
      port,
      graceMs,
      reflection,
      logger,
      ...(interceptors === undefined ? {} : { interceptors }),
      ...(maxReceiveBytes === undefined ? {} : { maxReceiveBytes }),
      ...(fallback === undefined ? {} : { fallback }),
      ...(drainMarginMs === undefined ? {} : { drainMarginMs }),
      ...(cors === undefined ? {} : { cors }),
      ...(advertise === undefined ? {} : { advertise }),
      ...(tls === undefined ? {} : { tls }),
      ...(before ? { consul, service } : {}),
    }),
  );
  const address = await server.ready;
  const registration = before
    ? undefined
    : await registerApart({ ...service, name: name ?? "", consul, ...address.announced, logger }, server);
  options.onReady(formatHostPort(reachableHost(address.host), address.port));
  return {
    port: address.port,
    async close() {
      await server.close();
      await registration?.close();
    },
  };
}

/** Calls the module's function. What it throws is its failure: a TypeError of `serve` means a setting. */
function callRoutes(routes: ServiceModule["routes"], router: ConnectRouter, server: Server): void {
  let result: unknown;
  try {
    result = routes(router, server);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ModuleError(`Cannot add the module's routes: ${reason}`, { cause });
  }
  if (!(result instanceof Promise)) return;
  result.catch(() => {});
  throw new ModuleError("Cannot add the module's routes as they come by a promise: await at the module's top level");
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

/** As `serve` names a registration that has no name of its own. */
function onlyService(router: ConnectRouter): string {
  const routed = [...new Set(router.handlers.map(({ service }) => service.typeName))];
  const [only, ...others] = routed;
  if (only !== undefined && others.length === 0) return only.slice(only.lastIndexOf(".") + 1);
  throw new UsageError(
    `--service must name the service in Consul where not exactly one is routed: received ${routed.join(", ") || "none"}`,
  );
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
