// The servers that Workers call by TCP: ours over either HTTP/2, and grpc-go's. Each stands behind a relay that counts connections and
// keeps its port while the server is started again.

import { existsSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import process from "node:process";
import { ConnectError, type Interceptor } from "@connectrpc/connect";
import { serve } from "../../src/server/serve.ts";
import { UnaryRequestSchema } from "../gen/lictor/test/v1/echo_pb.ts";
import { createEchoService } from "../support/echo-service.ts";
import { spawnCommand } from "../support/spawn-command.ts";
import { projectFolder } from "../tools/runtimes.ts";

const cacheFolder = `${projectFolder}node_modules/.cache/workerd/`;

/** Where `npm run workerd` builds the program of test/workerd/go, and what it is told of the service. */
export const echoServer: string = `${cacheFolder}echo-server`;
export const echoDescriptors: string = `${cacheFolder}echo.binpb`;

/** Whose server is called. */
export interface ServerKind {
  readonly name: string;
  /** For the `skip` option. False where CI=true, so that there a test fails. */
  readonly skip: string | false;
  start(name: string): Promise<StartedServer>;
}

/** An EchoService whose errors have a detail: an UnaryRequest with the text "detail". */
export interface StartedServer {
  readonly port: number;
  /** Handlers whose caller has ended the call. */
  readonly canceled: number;
  /** Leaves as servers are shut down: GOAWAY, and calls under way may finish. */
  close(): Promise<void>;
}

/** All of them. */
export const serverKinds: readonly ServerKind[] = [
  { name: "our server", skip: false, start: (name) => startOurs(name, "lictor") },
  { name: "our server over node:http2", skip: false, start: (name) => startOurs(name, "node") },
  {
    name: "grpc-go",
    skip: existsSync(echoServer) || process.env.CI === "true" ? false : "no Go program: install Go, npm run workerd",
    start: startGo,
  },
];

const withDetails: Interceptor = (next) => async (request) => {
  const explain = (thrown: unknown): never => {
    const error = ConnectError.from(thrown);
    error.details.push({ desc: UnaryRequestSchema, value: { text: "detail" } });
    throw error;
  };
  const response = await next(request).catch(explain);
  if (!response.stream) return response;
  const { message } = response;
  async function* messages() {
    try {
      yield* message;
    } catch (error) {
      explain(error);
    }
  }
  return { ...response, message: messages() };
};

async function startOurs(name: string, http2: "lictor" | "node"): Promise<StartedServer> {
  let canceled = 0;
  const onCall = (_method: string, signal: AbortSignal) => signal.addEventListener("abort", () => canceled++);
  const server = serve({ routes: createEchoService({ server: name, onCall }), interceptors: [withDetails], http2 });
  const { port } = await server.ready;
  return {
    port,
    get canceled() {
      return canceled;
    },
    close: () => server.close().then(() => {}),
  };
}

async function startGo(name: string): Promise<StartedServer> {
  const command = spawnCommand(echoServer, [echoDescriptors, name]);
  const [address = ""] = await command.ready(1);
  return {
    port: Number(address.slice(address.lastIndexOf(":") + 1)),
    get canceled() {
      return command.lines.filter((line) => line === "canceled").length;
    },
    async close() {
      command.signal("SIGTERM");
      await command.exitCode;
    },
  };
}

/** A server behind its relay. */
export interface RelayedServer extends AsyncDisposable {
  /** Of the relay. */
  readonly url: string;
  /** Connections that the relay has taken, ever and now. */
  readonly accepted: number;
  readonly open: number;
  readonly server: StartedServer;
  /** Cuts every connection. */
  cut(): void;
  /** Shuts the server down and starts it anew, behind the same port. */
  restart(): Promise<void>;
}

/** Starts a server and its relay. */
export async function startRelayed(kind: ServerKind, name: string): Promise<RelayedServer> {
  let server = await kind.start(name);
  let accepted = 0;
  const sockets = new Set<Socket>();
  const relay = createServer({ noDelay: true, allowHalfOpen: true }, (inner) => {
    accepted++;
    const outer = connect({ port: server.port, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
    sockets.add(inner);
    inner.pipe(outer).pipe(inner);
    for (const [one, other] of [
      [inner, outer],
      [outer, inner],
    ] as const) {
      one.on("error", () => other.destroy());
      one.once("close", () => {
        other.destroy();
        sockets.delete(inner);
      });
    }
  });
  await new Promise<void>((resolve) => relay.listen(0, "127.0.0.1", resolve));
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: `http://127.0.0.1:${(relay.address() as AddressInfo).port}`,
    get accepted() {
      return accepted;
    },
    get open() {
      return sockets.size;
    },
    get server() {
      return server;
    },
    cut,
    async restart() {
      await server.close();
      server = await kind.start(name);
    },
    async [Symbol.asyncDispose]() {
      cut();
      await new Promise((resolve) => relay.close(resolve));
      await server.close();
    },
  };
}
