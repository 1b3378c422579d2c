// An agent with the servers that the table is about: on Bun, Deno and Node each HelloService as server.ts serves it, and a user's
// EchoService. All let a page of one origin call.

import { createConsulClient } from "../../src/consul/consul-client.ts";
import { startEmbeddedConsul } from "../../src/testing/embedded-consul.ts";
import { startConsul } from "../support/consul-agent.ts";
import { eventually } from "../support/eventually.ts";
import { spawnOn } from "../support/spawn-on.ts";
import { type RuntimeName, runtimeNames } from "../tools/runtimes.ts";
import { startCorsGateway } from "./cors-gateway.ts";
import type { ServingPair } from "./serving.ts";

/** The agent, and how a page reaches it. */
export interface MatrixAgent extends AsyncDisposable {
  readonly address: string;
  /** Address that answers a page of the origin. */
  readonly forPages: string;
}

/** Servers that are up and registered. */
export interface MatrixWorld extends AsyncDisposable {
  readonly agent: MatrixAgent;
  readonly servers: Readonly<Record<RuntimeName, ServingPair>>;
}

/** The embedded agent; pages reach it through a gateway. */
export async function startEmbeddedAgent(origin: string): Promise<MatrixAgent> {
  const agent = await startEmbeddedConsul();
  const gateway = await startCorsGateway(agent.address, origin);
  return {
    address: agent.address,
    forPages: gateway.address,
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]();
      await agent.close();
    },
  };
}

/**
 * A real agent, told to send the header that lets pages read it:
 * https://developer.hashicorp.com/consul/docs/agent/config/config-files#response_headers
 */
export async function startRealAgent(origin: string): Promise<MatrixAgent> {
  const config = { http_config: { response_headers: { "Access-Control-Allow-Origin": origin } } };
  const agent = await startConsul({ config });
  return {
    address: agent.address,
    forPages: agent.address,
    [Symbol.asyncDispose]: () => agent[Symbol.asyncDispose](),
  };
}

/** Starts all servers; resolves when Consul lists them as passing. Disposing of the world ends the agent too. */
export async function startWorld(agent: MatrixAgent, origin: string): Promise<MatrixWorld> {
  await using stack = new AsyncDisposableStack();
  stack.use(agent);
  const start = async (runtime: RuntimeName): Promise<ServingPair> => {
    const helloArgs = ["--consul", agent.address, "--port=0", "--log=warn", "--cors-origin", origin];
    const hello = stack.use(spawnOn(runtime, "server.ts", helloArgs));
    const echo = stack.use(spawnOn(runtime, "test/support/serve-echo.ts", [agent.address, "Echo", runtime, origin]));
    const [[helloAddress = ""], [echoAddress = ""]] = await Promise.all([hello.ready(1), echo.ready(1)]);
    return { hello: helloAddress, echo: echoAddress, name: runtime };
  };
  const [bun, deno, node] = await Promise.all([start("bun"), start("deno"), start("node")]);
  const { health } = createConsulClient(agent.address);
  for (const service of ["HelloService", "Echo"]) {
    await eventually(`all of ${service} pass`, async () => {
      return (await health.service(service, { passing: true })).data.length === runtimeNames.length;
    });
  }
  const owned = stack.move();
  return { agent, servers: { bun, deno, node }, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
