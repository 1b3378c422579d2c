// A connector without a network: connections do what the test says. Calls run in memory through Connect's router transport.

import { Code, ConnectError, createRouterTransport, type Transport } from "@connectrpc/connect";
import type { Endpoint } from "../../src/core/endpoint.ts";
import { markUnprocessed } from "../../src/core/call-fate.ts";
import type { Connection, ConnectionListener, ConnectionState, Connector } from "../../src/transport/connector.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";

/** What the next calls on a connection meet. */
export type FakeBehaviour = "answer" | "refuse" | "reset" | "hang";

export class FakeConnection implements Connection {
  readonly endpoint: Endpoint;
  readonly transport: Transport;
  state: ConnectionState = { type: "idle" };
  behaviour: FakeBehaviour = "answer";
  calls = 0;
  /** What the last call was told of its deadline. */
  timeoutMs: number | undefined;
  /** False: calls are in flight that do not end, so `drain()` waits for `close()`. */
  drains = true;
  readonly #closed = Promise.withResolvers<void>();
  closedWith: unknown;
  readonly #listener: ConnectionListener;

  constructor(endpoint: Endpoint, listener: ConnectionListener) {
    this.endpoint = endpoint;
    this.#listener = listener;
    const answers = createRouterTransport((router) => {
      router.service(EchoService, {
        unary: (request) => ({ text: request.text, server: endpoint.id }),
        async *serverStream(request) {
          for (let index = 0; index < request.count; index++) yield { text: request.text, index, server: endpoint.id };
        },
        async clientStream(requests) {
          const texts: string[] = [];
          for await (const request of requests) texts.push(request.text);
          return { text: texts.join(","), count: texts.length, server: endpoint.id };
        },
      });
    });
    this.transport = {
      unary: async (...args) => {
        this.timeoutMs = args[2];
        await this.#meet(args[1]);
        return answers.unary(...args);
      },
      stream: async (...args) => {
        this.timeoutMs = args[2];
        await this.#meet(args[1]);
        return answers.stream(...args);
      },
    };
  }

  connect(): void {
    this.state = { type: "connecting" };
  }

  becomeReady(): void {
    this.#move({ type: "ready", sinceMs: 0 });
  }

  /** The server's GOAWAY. */
  beToldToLeave(): void {
    this.#move({ type: "draining" });
  }

  /** The connection breaks, or never came about. */
  lose(reason: unknown = new Error("lost")): void {
    this.#move({ type: "closed", reason });
  }

  async drain(): Promise<void> {
    if (!this.drains) return this.#closed.promise;
    if (this.state.type !== "closed") this.#move({ type: "closed", reason: undefined });
  }

  async close(reason?: unknown): Promise<void> {
    this.closedWith = reason;
    if (this.state.type !== "closed") this.#move({ type: "closed", reason });
  }

  async #meet(signal: AbortSignal | undefined): Promise<void> {
    this.calls++;
    switch (this.behaviour) {
      case "answer":
        return;
      case "refuse":
        throw markUnprocessed(new ConnectError(`${this.endpoint.id} refused`, Code.Unavailable));
      case "reset":
        throw new ConnectError(`${this.endpoint.id} reset`, Code.Unavailable);
      case "hang":
        await new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
        return;
      default:
        this.behaviour satisfies never;
    }
  }

  #move(state: ConnectionState): void {
    this.state = state;
    if (state.type === "closed") this.#closed.resolve();
    this.#listener.onState(state);
  }
}

/** Every connection that was opened, in order; `of` finds the newest to an endpoint. */
export interface FakeConnector {
  readonly connector: Connector;
  readonly opened: readonly FakeConnection[];
  of(endpointId: string): FakeConnection;
}

export function createFakeConnector(): FakeConnector {
  const opened: FakeConnection[] = [];
  return {
    connector(endpoint, listener) {
      const connection = new FakeConnection(endpoint, listener);
      opened.push(connection);
      return connection;
    },
    opened,
    of(endpointId) {
      const connection = opened.findLast((candidate) => candidate.endpoint.id === endpointId);
      if (connection === undefined) throw new Error(`no connection to ${endpointId} was opened`);
      return connection;
    },
  };
}
