// `lictor serve`, server.ts: servers of a module, or of HelloService, announced in Consul, with the original's fault simulation
// on request.

import process from "node:process";
import type { ConsulClient } from "../consul/consul-client.ts";
import type { Logger } from "../core/logger.ts";
import { closeOnSignal } from "../runtime/close-on-signal.ts";
import type { ServiceModule } from "../server/service-module.ts";
import { createRestartingServers } from "../testing/restarting-servers.ts";
import { closeServiceModule } from "./close-service-module.ts";
import { type Environment, runCommand } from "./command-line.ts";
import { consulClientFor } from "./consul-flags.ts";
import { helloModule } from "./hello-module.ts";
import { loadServiceModule, ModuleError } from "./load-service-module.ts";
import { type ServerInvocation, serverSpec } from "./server-flags.ts";
import { serverSettings } from "./server-settings.ts";
import { type ServiceServerOptions, startServiceServer } from "./service-server.ts";
import { flushStandardOutput, openStandardOutput } from "./standard-output.ts";
import { createStderrLogger } from "./stderr-logger.ts";

/** What a module's `close()` gets at least, however short the grace is. */
const leastCloseMs = 1000;

/** What a run of the command has beside its flags. */
interface Surroundings {
  readonly consul: ConsulClient;
  readonly logger: Logger;
  readonly stop: AbortSignal | undefined;
}

/** Runs the servers until a signal arrives or `stop` aborts; resolves with the exit code. With MODULE it ends the process instead. */
export async function serverCommand(
  args: readonly string[],
  env: Environment,
  options: { readonly stop?: AbortSignal } = {},
): Promise<number> {
  let isLoaded = false;
  const code = await runCommand(serverSpec, args, env, async (invocation) => {
    const { argument, flags } = invocation;
    const logger = createStderrLogger({ level: flags.log, format: flags["log-format"], env });
    const consul = consulClientFor(flags, env, logger);
    const around = { consul, logger, stop: options.stop };
    if (argument === undefined) return runServers(invocation, helloModule(logger), around);
    // A mistake in a flag shows before anything of the module runs.
    serverSettings(invocation, {});
    isLoaded = true;
    return showingStack(async () => {
      const module = await loadServiceModule(argument, process.cwd(), { logger });
      const close = () => closeServiceModule(module, { limitMs: Math.max(flags.grace, leastCloseMs), logger });
      let code: number;
      try {
        code = await runServers(invocation, module, around);
      } catch (error) {
        await close();
        throw error;
      }
      return (await close()) ? code : 1;
    });
  });
  if (!isLoaded) return code;
  // Whatever else the module left open must not keep a server that has stopped.
  await flushStandardOutput();
  process.exit(code);
}

/** The one line of a failed command does not say where in the module it failed. */
async function showingStack<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    const cause = error instanceof ModuleError ? error.cause : undefined;
    if (cause instanceof Error && cause.stack !== undefined) process.stderr.write(`${cause.stack}\n`);
    throw error;
  }
}

async function runServers(
  invocation: ServerInvocation,
  module: ServiceModule,
  { consul, logger, stop }: Surroundings,
): Promise<number> {
  const { flags } = invocation;
  const settings = serverSettings(invocation, module);
  // Of what is left out here, the settings have their say, or the command.
  const { service: _service, cors: _cors, close: _close, ...served } = module;
  const output = openStandardOutput();
  const server: ServiceServerOptions = {
    ...settings,
    module: served,
    consul,
    logger,
    onReady: (address) => output.line(`ready ${address}`),
  };
  const faultIntervalMs = flags["fault-interval"];
  const simulation = createRestartingServers({
    start: (port) => startServiceServer(server, port),
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
