// The connections of one request: few, opened when a call needs one, used by the calls after it. Knows neither discovery nor sockets.

import { Code, ConnectError } from "@connectrpc/connect";
import type { NewPicker, Picker, PickResult } from "../../balancer/picker.ts";
import { markUnprocessed } from "../../core/call-fate.ts";
import type { Clock } from "../../core/clock.ts";
import type { Endpoint } from "../../core/endpoint.ts";
import { settledWithin, unlessAborted } from "../../core/until-settled.ts";
import type { Connection, ConnectionState, Connector } from "../../transport/connector.ts";
import { describeError } from "../../transport/describe-error.ts";
import type { Attempt, EndpointReach } from "../call-endpoints.ts";

/** What the connections are made of. */
export interface ReachedEndpointsOptions {
  readonly connector: Connector;
  readonly balancer: NewPicker;
  /** As many are opened before the open ones are used again. */
  readonly maxConnections: number;
  readonly clock: Clock;
}

/** A connection, and who uses it. */
class Reached {
  readonly endpoint: Endpoint;
  readonly connection: Connection;
  /** Rejects with why it never got ready. */
  readonly ready: Promise<void>;
  readonly #settle: PromiseWithResolvers<void> = Promise.withResolvers();

  constructor(endpoint: Endpoint, connector: Connector, onOver: (reached: Reached) => void) {
    this.endpoint = endpoint;
    this.ready = this.#settle.promise;
    this.ready.catch(() => {});
    this.connection = connector(endpoint, {
      onState: (state) => {
        this.#onState(state);
        if (state.type === "draining" || state.type === "closed") onOver(this);
      },
    });
    this.connection.connect();
  }

  #onState(state: ConnectionState): void {
    if (state.type === "ready") this.#settle.resolve();
    else if (state.type === "draining") this.#settle.reject(new Error("the server takes no calls"));
    else if (state.type === "closed") this.#settle.reject(state.reason ?? new Error("the connection was closed"));
  }
}

export class ReachedEndpoints implements EndpointReach {
  readonly #options: ReachedEndpointsOptions;
  /** Those that take calls, or will; by the endpoint's id. */
  readonly #open = new Map<string, Reached>();
  /** All that are not closed. */
  readonly #connections = new Set<Connection>();
  #picker: Picker | undefined;
  #calls = 0;
  #onceQuiet: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: ReachedEndpointsOptions) {
    this.#options = options;
  }

  pickReached(endpoints: readonly Endpoint[], tried: ReadonlyMap<string, Endpoint>): PickResult | undefined {
    this.#leaveUnlisted(endpoints);
    const isFull = this.#open.size >= this.#options.maxConnections;
    if (!isFull && endpoints.some(({ id }) => !this.#open.has(id) && !tried.has(id))) return undefined;
    this.#picker ??= this.#options.balancer(
      [...this.#open.values()].map(({ endpoint }) => endpoint).sort((a, b) => (a.id < b.id ? -1 : 1)),
      undefined,
    );
    const result = this.#picker.pick(new Set(tried.keys()));
    if (result === undefined || !tried.has(result.endpoint.id)) return result;
    // A picker that does not heed `exclude`. Every pick's `done` is called.
    result.done({ latencyMs: 0 });
    return undefined;
  }

  isReached({ id }: Endpoint): boolean {
    return this.#open.has(id);
  }

  async open(endpoint: Endpoint, _method: unknown, signal: AbortSignal): Promise<Attempt> {
    if (this.#closing !== undefined) throw new ConnectError("the transport is closed", Code.Canceled);
    const known = this.#open.get(endpoint.id);
    const reached = known?.endpoint.url === endpoint.url ? known : this.#connect(endpoint);
    try {
      await unlessAborted(reached.ready, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      const text = `cannot connect to ${endpoint.url}: ${describeError(error)}`;
      throw markUnprocessed(new ConnectError(text, Code.Unavailable, undefined, undefined, error));
    }
    this.#calls++;
    return this.#attempt(reached);
  }

  /** Takes no new calls, lets those under way finish for `graceMs` at most, and closes. Idempotent. */
  close(graceMs: number): Promise<void> {
    this.#closing ??= this.#close(graceMs);
    return this.#closing;
  }

  #attempt({ connection }: Reached): Attempt {
    return {
      transport: connection.transport,
      judge: (error) => ({
        error,
        // What a server says of itself leaves the connection as it was.
        broke: connection.state.type === "closed" && error.code === Code.Unavailable,
      }),
      end: () => {
        this.#calls--;
        if (this.#calls === 0) this.#onceQuiet?.();
      },
    };
  }

  #connect(endpoint: Endpoint): Reached {
    const reached = new Reached(endpoint, this.#options.connector, (over) => {
      if (over.connection.state.type === "closed") this.#connections.delete(over.connection);
      if (this.#open.get(over.endpoint.id) === over) this.#forget(over);
    });
    this.#open.set(endpoint.id, reached);
    this.#picker = undefined;
    this.#connections.add(reached.connection);
    return reached;
  }

  #forget({ endpoint }: Reached): void {
    this.#open.delete(endpoint.id);
    this.#picker = undefined;
  }

  /** Discovery knows who exists: what it lists no more, or elsewhere, finishes its calls. */
  #leaveUnlisted(endpoints: readonly Endpoint[]): void {
    for (const reached of [...this.#open.values()]) {
      const { id, url } = reached.endpoint;
      if (endpoints.some((endpoint) => endpoint.id === id && endpoint.url === url)) continue;
      this.#forget(reached);
      void reached.connection.drain();
    }
  }

  async #close(graceMs: number): Promise<void> {
    const quiet = Promise.withResolvers<void>();
    this.#onceQuiet = () => quiet.resolve();
    if (this.#calls === 0) quiet.resolve();
    await settledWithin(quiet.promise, graceMs, this.#options.clock);
    // Not drained: whoever waits for this need not wait for the peer too.
    const reason = new Error("the transport was closed");
    await Promise.all([...this.#connections].map((connection) => connection.close(reason)));
  }
}
