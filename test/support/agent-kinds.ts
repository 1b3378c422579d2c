// The agents that whole-system tests run over: the embedded one everywhere, and a real one where there is one.

import { startEmbeddedConsul } from "../../src/testing/embedded-consul.ts";
import { realConsulSkip, startConsul } from "./consul-agent.ts";

/** An agent of either kind, on one port for its whole life. */
export interface TestAgent extends AsyncDisposable {
  readonly address: string;
  /** Ends as a killed process does: connections are reset, the port refuses. */
  kill(): Promise<void>;
  /** Comes back after `kill()`, with nothing remembered. */
  revive(): Promise<void>;
}

/** One kind, and whether it can be had here. */
export interface AgentKind {
  readonly name: "embedded agent" | "real agent";
  /** For the `skip` option of a test. */
  readonly skip: string | false;
  start(): Promise<TestAgent>;
}

/** Both kinds. */
export const agentKinds: readonly AgentKind[] = [
  {
    name: "embedded agent",
    skip: false,
    async start() {
      const agent = await startEmbeddedConsul();
      return {
        address: agent.address,
        kill: () => agent.kill(),
        revive: () => agent.restart(),
        [Symbol.asyncDispose]: () => agent.close(),
      };
    },
  },
  {
    name: "real agent",
    skip: realConsulSkip,
    async start() {
      const agent = await startConsul();
      return {
        address: agent.address,
        kill: () => agent.kill(),
        revive: () => agent.start(),
        [Symbol.asyncDispose]: () => agent[Symbol.asyncDispose](),
      };
    },
  },
];
