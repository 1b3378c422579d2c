// One server of a service module with its place in Consul, as the command line wants it: started on a port, stopped in the
// order chosen. Knows no service.

import type { ConnectRouter } from "@connectrpc/connect";
import type { ConsulClient } from "../consul/consul-client.ts";
import { formatHostPort, stripBrackets } from "../core/host-port.ts";
import type { Logger } from "../core/logger.ts";
import type { RegisterOptions } from "../registry/register-options.ts";
import { registerService } from "../registry/register-service.ts";
import type { Registration } from "../registry/registration.ts";
import { serve } from "../server/serve.ts";
import type { ServiceOptions } from "../server/serve-options.ts";
import type { Server } from "../server/server.ts";
import type { ServiceModule } from "../server/service-module.ts";
import { onlyServiceName } from "../server/service-registration.ts";
import type { ServerTlsOptions } from "../server/tls-front.ts";
import type { RunningServer } from "../testing/restarting-servers.ts";
import { refuseBadSettings } from "./bad-settings.ts";
import { UsageError } from "./command-line.ts";
import { ModuleError } from "./load-service-module.ts";

/** The part of a module that flags have no say in. */
export type ServedModule = Omit<ServiceModule, "service" | "cors" | "close">;

/** What all servers of a command have in common. */
export interface ServiceServerOptions {
  /** What is served; the module's `service` and `cors` are settled with the flags, below. */
  readonly module: ServedModule;
  readonly consul: ConsulClient;
  /** How it is registered. Absent name: that of the one routed service. */
  readonly service: ServiceOptions;
  readonly host: string;
  /** What Consul is told instead of where the server listens. */
  readonly advertise?: { readonly host: string; readonly port?: number };
  readonly cors?: NonNullable<ServiceModule["cors"]>;
  readonly reflection: boolean;
  readonly graceMs: number;
  readonly tls?: ServerTlsOptions;
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
  const { module, consul, service, leaveConsul, onReady, ...settings } = options;
  const before = leaveConsul === "before";
  let name = service.name;
  const server = refuseBadSettings(() =>
    serve({
      ...module,
      ...settings,
      routes(router, server) {
        callRoutes(module.routes, router, server);
        name ??= nameOf(router);
      },
      port,
      ...(before && { consul, service }),
    }),
  );
  const address = await server.ready;
  const registration = before
    ? undefined
    : await registerApart(
        { ...service, name: name ?? "", consul, ...address.announced, logger: settings.logger },
        server,
      );
  onReady(formatHostPort(reachableHost(address.host), address.port));
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
function nameOf(router: ConnectRouter): string {
  const services = [...new Set(router.handlers.map(({ service }) => service.typeName))];
  const name = onlyServiceName(services);
  if (name !== undefined) return name;
  throw new UsageError(
    `--service must name the service in Consul where not exactly one is routed: received ${services.join(", ") || "none"}`,
  );
}

/** A wildcard is no address to connect to: on this machine its loopback is. */
function reachableHost(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  return stripBrackets(host) === "::" ? "::1" : host;
}
