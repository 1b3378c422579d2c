// A connector without a network: connections do what the test says. Calls run in memory through Connect's router transport.

import { Code, ConnectError, createRouterTransport, type Transport } from "@connectrpc/connect";
import { markUnprocessed } from "../../src/core/call-fate.ts";
import { type Clock, systemClock } from "../../src/core/clock.ts";
import type { Endpoint } from "../../src/core/endpoint.ts";
import type {
  Connection,
  ConnectionListener,
  ConnectionState,
  Connector,
  UnaryCaller,
} from "../../src/transport/connector.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";

/** What the next calls on a connection meet. */
export type FakeBehaviour = "answer" | "refuse" | "reset" | "hang";

export class FakeConnection implements Connection {
  readonly endpoint: Endpoint;
  readonly transport: Transport;
  readonly caller?: UnaryCaller;
  state: ConnectionState = { type: "idle" };
  behaviour: FakeBehaviour = "answer";
  calls = 0;
  /** Calls that hang now. */
  hanging = 0;
  /** What the last call was told of its deadline. */
  timeoutMs: number | undefined;
  /** What else it came with, untouched. */
  signal: AbortSignal | undefined;
  header: HeadersInit | undefined;
  input: unknown;
  /** False: calls are in flight that do not end, so `drain()` waits for `close()`. */
  drains = true;
  readonly #closed = Promise.withResolvers<void>();
  closedWith: unknown;
  readonly #listener: ConnectionListener;

  readonly #clock: Clock;

  constructor(endpoint: Endpoint, listener: ConnectionListener, clock: Clock, hasCaller: boolean) {
    this.endpoint = endpoint;
    this.#clock = clock;
    if (hasCaller) this.caller = this.#createCaller();
    this.#listener = listener;
    const answers = createRouterTransport((router) => {
      router.service(EchoService, {
        unary: (request) => ({ text: request.text, server: endpoint.id }),
        unaryIdempotent: (request) => ({ text: request.text }),
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
        [, this.signal, , this.header, this.input] = args;
        await this.#meet(args[1], args[2]);
        return answers.unary(...args);
      },
      stream: async (...args) => {
        [, this.signal, , this.header, this.input] = args;
        await this.#meet(args[1], args[2]);
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

  /** What the engine's connections have beside their transport. */
  #createCaller(): UnaryCaller {
    return {
      unaryCall: async (method, signal, timeoutMs, header, input, recourse) => {
        const controller = new AbortController();
        const onAbort = () => controller.abort(signal?.reason);
        if (signal?.aborted) onAbort();
        signal?.addEventListener("abort", onAbort);
        const abort = signal instanceof AbortSignal ? signal : signal && controller.signal;
        const untilMs = timeoutMs === undefined ? undefined : this.#clock.now() + timeoutMs;
        try {
          return await this.transport.unary(method, abort, timeoutMs, header, input);
        } catch (reason) {
          const error = ConnectError.from(reason, Code.Canceled);
          const instead = recourse(error, untilMs === undefined ? undefined : untilMs - this.#clock.now());
          if (instead === undefined) throw error;
          return await instead;
        } finally {
          signal?.removeEventListener("abort", onAbort);
        }
      },
    };
  }

  async #meet(signal: AbortSignal | undefined, timeoutMs: number | undefined): Promise<void> {
    this.calls++;
    this.timeoutMs = timeoutMs;
    switch (this.behaviour) {
      case "answer":
        return;
      case "refuse":
        throw markUnprocessed(new ConnectError(`${this.endpoint.id} refused`, Code.Unavailable));
      case "reset":
        throw new ConnectError(`${this.endpoint.id} reset`, Code.Unavailable);
      case "hang":
        return this.#hang(signal, timeoutMs);
      default:
        this.behaviour satisfies never;
    }
  }

  /** As every transport does, ends the call with its signal and at its deadline. */
  async #hang(signal: AbortSignal | undefined, timeoutMs: number | undefined): Promise<void> {
    const { promise, reject } = Promise.withResolvers<void>();
    const onAbort = () => reject(signal?.reason);
    signal?.addEventListener("abort", onAbort);
    if (signal?.aborted) onAbort();
    const pastDeadline = new ConnectError("the operation timed out", Code.DeadlineExceeded);
    const cancel = timeoutMs === undefined ? undefined : this.#clock.schedule(timeoutMs, () => reject(pastDeadline));
    this.hanging++;
    try {
      await promise;
    } finally {
      this.hanging--;
      cancel?.();
      signal?.removeEventListener("abort", onAbort);
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

/** `clock` is for the deadlines of calls that hang; with a `hasCaller`, connections offer the faster way to make unary calls. */
export function createFakeConnector(clock: Clock = systemClock, hasCaller = false): FakeConnector {
  const opened: FakeConnection[] = [];
  return {
    connector(endpoint, listener) {
      const connection = new FakeConnection(endpoint, listener, clock, hasCaller);
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
