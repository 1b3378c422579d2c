// Which Consul agent the demo uses: the one that was named, else one that answers at the usual place, else the embedded one.

import { type ConsulClient, createConsulClient } from "../consul/consul-client.ts";
import type { Logger } from "../core/logger.ts";
import type { Environment } from "./command-line.ts";
import { consulClientFor } from "./consul-flags.ts";

/** An agent to use. */
export interface DemoConsul {
  readonly kind: "real" | "embedded";
  readonly client: ConsulClient;
  /** What a process started by us needs in order to use the same agent: its flags and its environment. */
  readonly childFlags: readonly string[];
  readonly childEnv: Environment;
  /** Stops the agent if it is ours. */
  close(): Promise<void>;
}

const namedTimeoutMs = 3000;
const localTimeoutMs = 1000;

/**
 * Finds an agent. One that was named by flag or environment must answer: the error says so, and nothing else is tried.
 * Throws UsageError for flags and variables that cannot be read.
 */
export async function findDemoConsul(
  flags: { readonly consul: string | undefined; readonly "token-file": string | undefined },
  env: Environment,
  logger: Logger,
): Promise<DemoConsul> {
  const client = consulClientFor(flags, env, logger);
  const named = flags.consul !== undefined;
  try {
    // Needs no right and no leader: any agent answers it.
    await client.status.leader({ timeoutMs: named ? namedTimeoutMs : localTimeoutMs });
  } catch (error) {
    if (named) {
      const why = error instanceof Error ? error.message : String(error);
      throw new Error(`no Consul agent answers at ${client.address}: ${why}`, { cause: error });
    }
    return embedded(env);
  }
  const { consul, "token-file": tokenFile } = flags;
  const childFlags = [
    ...(consul === undefined ? [] : [`--consul=${consul}`]),
    ...(tokenFile === undefined ? [] : [`--token-file=${tokenFile}`]),
  ];
  return {
    kind: "real",
    client,
    childFlags,
    childEnv: env,
    async close() {},
  };
}

async function embedded(env: Environment): Promise<DemoConsul> {
  // Loaded only where it is used.
  const { startEmbeddedConsul } = await import("../testing/embedded-consul.ts");
  const agent = await startEmbeddedConsul();
  return {
    kind: "embedded",
    // A token or certificate meant for another agent has no place here.
    client: createConsulClient({ address: agent.address }),
    childFlags: [`--consul=${agent.address}`],
    childEnv: Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith("CONSUL_"))),
    close: () => agent.close(),
  };
}
