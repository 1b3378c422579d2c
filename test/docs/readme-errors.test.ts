// README's table of errors quotes what users really see: every message in it is provoked here.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer, type Server as NetServer } from "node:net";
import { describe, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { ThermometerService } from "../../examples/own-service/gen/example/thermometer/v1/thermometer_pb.ts";
import { HelloService } from "../../gen/HelloService_proto/hello_service_pb.ts";
import { createHelloClient as createEdgeHelloClient } from "../../src/edge.ts";
import {
  createConsulTransport,
  createHelloClient,
  createHelloService,
  type HelloClientOptions,
  registerService,
  type ServeOptions,
  type Server,
  type ServerAddress,
  serve,
} from "../../src/index.ts";
import { type EmbeddedConsul, type EmbeddedConsulOptions, startEmbeddedConsul } from "../../src/testing/index.ts";
import { makeCertificates } from "../support/certificates.ts";
import { closedPort, listenOnLoopback } from "../support/loopback.ts";
import { spawnScript } from "../support/spawn-command.ts";

const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
const [, section = ""] = /\n## Errors\n([\s\S]*?)\n## /.exec(readme) ?? [];
/** First code span of each row of the table. */
const quoted = [...section.matchAll(/^\| `([^`]+)`/gm)].map(([, message = ""]) => message);

const atAgent = 'service "HelloService" of Consul at http://127.0.0.1:8500';
const cannotConnect = `[unavailable] cannot connect to the one instance of ${atAgent}: `;

/** Provokes a message; the ports that README has otherwise are told to `rename`. */
type Provoke = (rename: (port: number, usual: 8500 | 10000) => void, stack: AsyncDisposableStack) => Promise<string>;

const cases: Readonly<Record<string, Provoke>> = {
  [`[unavailable] gave up waiting for the first answer about ${atAgent}: Cannot read the health of a service: GET /v1/health/service/HelloService at http://127.0.0.1:8500 failed: …`]:
    async (rename) => {
      const port = await closedPort();
      rename(port, 8500);
      return callError({ consul: `127.0.0.1:${port}`, waitTimeoutMs: 300 });
    },

  [`[deadline_exceeded] the operation timed out waiting for the first answer about ${atAgent}…`]: async (rename) => {
    const port = await closedPort();
    rename(port, 8500);
    return callError({ consul: `127.0.0.1:${port}` }, { timeoutMs: 300 });
  },

  "… at http://127.0.0.1:8500 answered 403: ACL not found": async (rename, stack) => {
    const { address } = await agent(rename, stack, { tokens: [{ secret: "known", management: true }] });
    return callError({ consul: { address, token: "unknown" }, waitTimeoutMs: 300 });
  },

  [`[unavailable] no instance to call: ${atAgent} lists none`]: async (rename, stack) => {
    const { address } = await agent(rename, stack, { tokens: [{ secret: "known", management: true }] });
    await started(stack, { consul: { address, token: "known" } });
    // It is there, but a token without rights does not see it.
    return callError({ consul: address });
  },

  [`[unavailable] no instance to call: ${atAgent} lists none: it hides instances from this token, which needs service:read and node:read`]:
    async (rename, stack) => {
      const tokens = [
        { secret: "known", management: true },
        { secret: "weak", service: { HelloService: "read" } },
      ] as const;
      const { address } = await agent(rename, stack, { tokens, compat: "1.22" });
      await started(stack, { consul: { address, token: "known" } });
      return callError({ consul: { address, token: "weak" } });
    },

  "Cannot register a service: PUT /v1/agent/service/register?replace-existing-checks=true at http://127.0.0.1:8500 answered 403: Permission denied…":
    async (rename, stack) => {
      const { address } = await agent(rename, stack, { tokens: [{ secret: "known", management: true }] });
      const refused = Promise.withResolvers<string>();
      const logger = {
        debug() {},
        info() {},
        error() {},
        warn: (_: string, { error }: { error?: unknown } = {}) => refused.resolve(message(error)),
      };
      const server = stack.use(serve({ routes: createHelloService(), consul: address, logger, drainMarginMs: 0 }));
      await server.ready;
      const logged = await refused.promise;
      const state = server.registration?.state;
      assert.equal(state?.type === "registering" ? message(state.lastError) : state?.type, logged);
      return logged;
    },

  [`${cannotConnect}connect ECONNREFUSED 127.0.0.1:10000`]: async (rename, stack) => {
    const port = await closedPort();
    rename(port, 10_000);
    return callError({ consul: await agentWith(port, rename, stack) });
  },

  [`${cannotConnect}http://127.0.0.1:10000 does not speak HTTP/2`]: async (rename, stack) => {
    const port = await listening(
      createHttpServer((_request, response) => response.end("hi")),
      stack,
    );
    rename(port, 10_000);
    return callError({ consul: await agentWith(port, rename, stack) });
  },

  [`${cannotConnect}http://127.0.0.1:10000 hung up before it spoke HTTP/2`]: async (rename, stack) => {
    const { address } = await agent(rename, stack);
    const server = await started(stack, { consul: address, tls: makeCertificates().server });
    rename(server.address?.port ?? 0, 10_000);
    return callError({ consul: address });
  },

  [`${cannotConnect}https://127.0.0.1:10000 does not speak TLS`]: async (rename, stack) => {
    const { address } = await agent(rename, stack);
    const server = await started(stack, { consul: address });
    rename(server.address?.port ?? 0, 10_000);
    return callError({ consul: address, tls: true });
  },

  [`${cannotConnect}unable to verify the first certificate…`]: async (rename, stack) => {
    const { address } = await agent(rename, stack);
    await started(stack, { consul: address, tls: makeCertificates().server });
    return callError({ consul: address, tls: true });
  },

  [`${cannotConnect}https://127.0.0.1:10000 is not "elsewhere.test" by its certificate: received …`]: async (
    rename,
    stack,
  ) => {
    const { address } = await agent(rename, stack);
    const { ca, server: pair } = makeCertificates();
    const server = await started(stack, { consul: address, tls: pair });
    rename(server.address?.port ?? 0, 10_000);
    return callError({ consul: address, tls: { ca, serverName: "elsewhere.test" } });
  },

  "[unavailable] no answer from http://127.0.0.1:10000: …": async (rename) => {
    const port = await closedPort();
    rename(port, 10_000);
    return rejection(createEdgeHelloClient({ endpoints: [`http://127.0.0.1:${port}`] }).sayHello({ name: "you" }));
  },

  [`[unavailable] gave up waiting for a connection to ${atAgent}`]: async (rename, stack) => {
    const port = await listening(createServer(), stack);
    return callError({ consul: await agentWith(port, rename, stack), waitTimeoutMs: 300 });
  },

  "[unimplemented] unknown method /example.thermometer.v1.ThermometerService/Read": async (rename, stack) => {
    const { address } = await agent(rename, stack);
    await started(stack, { consul: address });
    const transport = stack.use(createConsulTransport({ service: "HelloService", consul: address }));
    return rejection(createClient(ThermometerService, transport).read({ room: "kitchen" }));
  },

  "[canceled] the transport is closed": async () => {
    const waiting = async () => {
      await using client = createHelloClient({ consul: `127.0.0.1:${await closedPort()}` });
      // Not awaited in here: the mistake.
      return rejection(client.sayHello({}));
    };
    return waiting();
  },

  "[resource_exhausted] message size 5242889 is larger than configured readMaxBytes 4194304": async (rename, stack) => {
    const { address } = await agent(rename, stack);
    await started(stack, { consul: address, graceMs: 100 });
    const client = stack.use(createHelloClient({ consul: address, closeGraceMs: 100 }));
    return rejection(client.sayHello({ name: "x".repeat(5 * 1024 * 1024), num1: 1, num2: 2 }));
  },

  "[resource_exhausted] 10000 calls wait already, and 10000 is the most: they are waiting for …": async () => {
    await using client = createHelloClient({ consul: `127.0.0.1:${await closedPort()}` });
    const leave = new AbortController();
    const waiting = Array.from({ length: 10_000 }, () => client.sayHello({}, { signal: leave.signal }));
    const text = await rejection(client.sayHello({}));
    leave.abort();
    await Promise.allSettled(waiting);
    return text;
  },

  "[resource_exhausted] the connection to http://127.0.0.1:10000 takes no more calls now: 100 are under way, 20 wait":
    async (rename, stack) => {
      const { address } = await agent(rename, stack);
      await startedSlow(rename, stack, { consul: address });
      const limits = { maxConcurrentCallsPerEndpoint: 100, maxPendingCallsPerEndpoint: 20, waitForReady: false };
      return oneTooMany({ consul: address, ...limits }, 120);
    },

  "[unavailable] http://127.0.0.1:10000: the peer refused the call": async (rename, stack) => {
    const { address } = await agent(rename, stack);
    await startedSlow(rename, stack, { consul: address, overload: { maxConcurrentCalls: 1, maxQueued: 0 } });
    return oneTooMany({ consul: address, waitForReady: false }, 1);
  },

  "[unavailable] the server is overloaded": async (rename, stack) => {
    const { address } = await agent(rename, stack);
    const overload = { maxConcurrentCalls: 1, maxQueued: 0 };
    const { url } = await startedSlow(rename, stack, { consul: address, overload });
    const leave = new AbortController();
    const client = createEdgeHelloClient({ endpoints: [url] });
    // One of them is taken, and lasts.
    const calls = [1, 2].map(() => rejection(client.sayHello({}, { signal: leave.signal })));
    const text = await Promise.race(calls);
    leave.abort();
    await Promise.all(calls);
    return text;
  },

  'Cannot use the service config as methodConfig[0].timeout must be a duration > 0 in seconds like "1.5s": received "5 seconds"':
    () =>
      rejection(
        (async () => createHelloClient({ serviceConfig: { methodConfig: [{ name: [{}], timeout: "5 seconds" }] } }))(),
      ),

  '[invalid_argument] Cannot call SayHello as "num1" must be an integer from -2147483648 to 2147483647: received 2147483648':
    async (_rename, stack) => rejection(stack.use(createHelloClient()).sayHello({ num1: 2 ** 31 })),

  "Cannot listen on 127.0.0.1:10000 as the port is in use": async (rename, stack) => {
    const port = await listening(createServer(), stack);
    rename(port, 10_000);
    return rejection(serve({ routes: createHelloService(), port }).ready);
  },

  'Cannot register "HelloService" as "host" must be an address that others can connect to: received "0.0.0.0"': () =>
    rejection(
      (async () =>
        registerService({ consul: "127.0.0.1:8500", name: "HelloService", host: "0.0.0.0", port: 10_000 }))(),
    ),

  'lictor serve: --ttl must be a duration with its unit, like 500ms, 20s or 1m30s: received "15" (see --help)': async (
    _rename,
    stack,
  ) => {
    const server = stack.use(spawnScript("server.ts", ["--ttl", "15"]));
    assert.equal(await server.exitCode, 2);
    return server.stderr.trimEnd();
  },

  "lictor demo: no Consul agent answers at http://127.0.0.1:8500: …": async (rename, stack) => {
    const port = await closedPort();
    rename(port, 8500);
    const demo = stack.use(
      spawnScript("src/cli/main.ts", ["demo"], { env: { CONSUL_HTTP_ADDR: `127.0.0.1:${port}` } }),
    );
    assert.equal(await demo.exitCode, 1);
    return demo.stderr.trimEnd();
  },
};

describe("README's table of errors", () => {
  test("quotes the messages of this file, and no others", () => {
    assert.deepEqual(quoted.toSorted(), Object.keys(cases).toSorted());
  });

  for (const [quote, provoke] of Object.entries(cases)) {
    test(`quotes: ${quote}`, { timeout: 60_000 }, async () => {
      await using stack = new AsyncDisposableStack();
      const ports = new Map<number, number>();
      const text = await provoke((port, usual) => ports.set(port, usual), stack);
      const seen = text.replaceAll(/127\.0\.0\.1:(\d+)/g, (whole, port) => {
        const usual = ports.get(Number(port));
        return usual === undefined ? whole : `127.0.0.1:${usual}`;
      });
      const pattern = quote.split("…").map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&"));
      assert.match(seen, new RegExp(`^${pattern.join("[^]+")}$`));
    });
  }
});

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The message that a promise is rejected with. */
async function rejection(promise: Promise<unknown>): Promise<string> {
  return promise.then(() => assert.fail("it did not fail"), message);
}

/** The message of one call of a fresh client. */
async function callError(options: HelloClientOptions, callOptions: { timeoutMs?: number } = {}): Promise<string> {
  await using client = createHelloClient({ waitForReady: false, ...options });
  return await rejection(client.sayHello({ name: "me", num1: 1, num2: 2 }, callOptions));
}

/** The message of a call that is made while so many others are under way or wait, for an answer that never comes. */
async function oneTooMany(options: HelloClientOptions, before: number): Promise<string> {
  await using client = createHelloClient({ closeGraceMs: 0, ...options });
  const leave = new AbortController();
  const others = Array.from({ length: before }, () => client.sayHello({}, { signal: leave.signal }));
  const text = await rejection(client.sayHello({}));
  leave.abort();
  await Promise.allSettled(others);
  return text;
}

/** Starts a server that answers no call before its caller has gone. */
async function startedSlow(
  rename: Parameters<Provoke>[0],
  stack: AsyncDisposableStack,
  options: Omit<ServeOptions, "routes">,
): Promise<ServerAddress> {
  const server = stack.use(
    serve({
      routes: (router) =>
        router.service(HelloService, {
          sayHello: (_request, { signal }) =>
            new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
        }),
      drainMarginMs: 0,
      graceMs: 0,
      ...options,
    }),
  );
  const address = await server.ready;
  await server.registration?.registered;
  rename(address.port, 10_000);
  return address;
}

/** Starts an agent of the case's own. */
async function agent(
  rename: Parameters<Provoke>[0],
  stack: AsyncDisposableStack,
  options: EmbeddedConsulOptions = {},
): Promise<EmbeddedConsul> {
  const consul = stack.use(await startEmbeddedConsul(options));
  rename(consul.port, 8500);
  return consul;
}

/** Starts an agent that lists 127.0.0.1 and this port as HelloService; returns its address. */
async function agentWith(port: number, rename: Parameters<Provoke>[0], stack: AsyncDisposableStack): Promise<string> {
  const { address } = await agent(rename, stack);
  const registration = stack.use(registerService({ consul: address, name: "HelloService", host: "127.0.0.1", port }));
  await registration.registered;
  return address;
}

/** Starts a server and waits until Consul has it. */
async function started(stack: AsyncDisposableStack, options: Omit<ServeOptions, "routes">): Promise<Server> {
  const server = stack.use(serve({ routes: createHelloService(), drainMarginMs: 0, ...options }));
  await server.ready;
  await server.registration?.registered;
  return server;
}

/** Listens on a free port until the stack is disposed of. */
async function listening(server: NetServer, stack: AsyncDisposableStack): Promise<number> {
  return stack.use(await listenOnLoopback(server)).port;
}
