// The connections of one transport: follows the resolver, keeps a subchannel an endpoint, and holds the picker over those that
// are ready. Decides which endpoints exist (and what it believes of the resolver); places no calls.

import type { NewPicker, Picker } from "../balancer/picker.ts";
import type { BackoffOptions } from "../core/backoff.ts";
import type { Clock } from "../core/clock.ts";
import type { Endpoint } from "../core/endpoint.ts";
import type { Logger } from "../core/logger.ts";
import type { Resolver, ResolverSnapshot } from "../resolver/resolver.ts";
import type { Connection, Connector } from "./connector.ts";
import { sortById, withEndpoint, withoutEndpoint } from "./ready-list.ts";
import { Subchannel, type SubchannelState } from "./subchannel.ts";

/** What a pool needs; every default is resolved by its owner. */
export interface ConnectionPoolOptions {
  readonly resolver: Resolver;
  readonly connector: Connector;
  readonly balancer: NewPicker;
  readonly backoff: BackoffOptions;
  /** How long the first calls wait for the slower endpoints once one is ready, so that the round begins with all of them. */
  readonly settleMs: number;
  /** How long an empty answer is not believed while connections work. */
  readonly emptyGraceMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * What a call can do now.
 * - `unresolved`: the resolver has not answered yet. `error` is its last failure, if any.
 * - `connecting`: endpoints are known, none is ready, and not all attempts have failed.
 * - `ready`: pick.
 * - `failing`: every endpoint's last attempt failed. `error` is the newest failure.
 * - `empty`: the resolver knows no endpoint.
 */
export type PoolState =
  | { readonly type: "unresolved"; readonly error: unknown }
  | { readonly type: "connecting"; readonly count: number }
  | { readonly type: "ready"; readonly picker: Picker }
  | { readonly type: "failing"; readonly count: number; readonly error: unknown }
  | { readonly type: "empty" }
  | { readonly type: "closed" };

export class ConnectionPool {
  state: PoolState = { type: "unresolved", error: undefined };
  readonly #options: ConnectionPoolOptions;
  readonly #subchannels = new Map<string, Subchannel>();
  /** Subchannels that finish their calls and are in use no more. */
  readonly #leaving = new Map<Subchannel, Promise<void>>();
  readonly #waiters = new Set<() => void>();
  #unsubscribe: (() => void) | undefined;
  /** Sorted by id. */
  #ready: readonly Endpoint[] = [];
  #picker: Picker | undefined;
  /** The list that `#picker` was made of. */
  #picked: readonly Endpoint[] | undefined;
  #settled = false;
  #cancelSettle: (() => void) | undefined;
  #cancelGrace: (() => void) | undefined;
  /** True while the resolver says "none" and the connections say otherwise. */
  #holding = false;

  constructor(options: ConnectionPoolOptions) {
    this.#options = options;
  }

  /** Starts following the resolver. Does nothing when started or closed. */
  start(): void {
    if (this.#unsubscribe !== undefined || this.state.type === "closed") return;
    this.#unsubscribe = () => {};
    this.#unsubscribe = this.#options.resolver.subscribe({
      onSnapshot: (snapshot) => this.#onSnapshot(snapshot),
      onError: (error) => {
        if (this.state.type === "unresolved") this.#move({ type: "unresolved", error });
      },
    });
  }

  /** The connection behind an endpoint that was picked; undefined where it has just been lost. */
  connection(endpointId: string): Connection | undefined {
    return this.#subchannels.get(endpointId)?.connection;
  }

  /** Calls `callback` once, at the next change of `state`. Returns a function that stops the wait. */
  onceChanged(callback: () => void): () => void {
    this.#waiters.add(callback);
    return () => {
      this.#waiters.delete(callback);
    };
  }

  /** Lets the resolver go, finishes the calls in flight for at most `graceMs`, then closes every connection. Call once. */
  async close(graceMs: number): Promise<void> {
    this.#unsubscribe?.();
    this.#cancelSettle?.();
    this.#cancelGrace?.();
    const subchannels = [...this.#subchannels.values(), ...this.#leaving.keys()];
    this.#subchannels.clear();
    this.#move({ type: "closed" });
    const cancel = this.#options.clock.schedule(graceMs, () => {
      for (const subchannel of subchannels) void subchannel.close(new Error("the transport was closed"));
    });
    await Promise.all(subchannels.map((subchannel) => subchannel.drain()));
    cancel();
  }

  #onSnapshot(snapshot: ResolverSnapshot): void {
    if (this.state.type === "closed") return;
    const wasHolding = this.#holding;
    this.#holding = snapshot.endpoints.length === 0 && this.#ready.length > 0;
    if (!this.#holding) {
      this.#cancelGrace?.();
      this.#cancelGrace = undefined;
    }
    // The same answer again, fresh or stale: the grace runs from the first.
    if (this.#holding && wasHolding) return;
    if (this.#holding) {
      // Consul is the authority on who exists, the connection on who answers: an agent that was wiped, or a token that lost its
      // rights, also answers "none".
      this.#options.logger.warn("an empty answer is not believed while connections work", {
        resolver: this.#options.resolver.description,
        connections: this.#ready.length,
      });
      this.#cancelGrace = this.#options.clock.schedule(this.#options.emptyGraceMs, () => this.#believeEmpty());
      for (const subchannel of [...this.#subchannels.values()]) this.#dropIfHeldAndLost(subchannel);
    } else {
      this.#reconcile(snapshot.endpoints);
    }
    this.#relist();
    this.#update();
  }

  #believeEmpty(): void {
    this.#holding = false;
    this.#reconcile([]);
    this.#relist();
    this.#update();
  }

  #reconcile(endpoints: readonly Endpoint[]): void {
    const wanted = new Map(endpoints.map((endpoint) => [endpoint.id, endpoint]));
    for (const subchannel of [...this.#subchannels.values()]) {
      if (wanted.get(subchannel.endpoint.id)?.url !== subchannel.endpoint.url) this.#remove(subchannel);
    }
    for (const endpoint of endpoints) {
      const known = this.#subchannels.get(endpoint.id);
      if (known !== undefined) {
        known.endpoint = endpoint;
        continue;
      }
      const { connector, clock, backoff } = this.#options;
      const subchannel = new Subchannel(endpoint, {
        connector,
        clock,
        backoff,
        onChange: (s) => this.#onSubchannel(s),
      });
      this.#subchannels.set(endpoint.id, subchannel);
      this.#options.logger.debug("endpoint added", { endpoint: endpoint.url, id: endpoint.id });
      subchannel.start();
    }
  }

  /** Out of use at once; its calls finish. */
  #remove(subchannel: Subchannel): void {
    this.#subchannels.delete(subchannel.endpoint.id);
    this.#options.logger.debug("endpoint removed", { endpoint: subchannel.endpoint.url, id: subchannel.endpoint.id });
    this.#leaving.set(
      subchannel,
      subchannel.drain().finally(() => this.#leaving.delete(subchannel)),
    );
  }

  #onSubchannel(subchannel: Subchannel): void {
    if (this.#subchannels.get(subchannel.endpoint.id) !== subchannel) return;
    this.#options.logger.debug("connection state", {
      endpoint: subchannel.endpoint.url,
      state: subchannel.state,
      ...(subchannel.lastError === undefined ? {} : { error: subchannel.lastError }),
    });
    const wasReady = this.#ready.length > 0;
    // One of many: the list is not made anew, as thousands of connections come one after another.
    this.#ready =
      subchannel.state === "ready"
        ? withEndpoint(this.#ready, subchannel.endpoint)
        : withoutEndpoint(this.#ready, subchannel.endpoint.id);
    this.#dropIfHeldAndLost(subchannel);
    this.#update();
    // Every connection is lost: whoever the resolver knows now may be somebody else.
    if (wasReady && this.#ready.length === 0) void this.#options.resolver.refresh();
  }

  /** An endpoint that neither the resolver lists nor a connection reaches is gone. */
  #dropIfHeldAndLost(subchannel: Subchannel): void {
    if (this.#holding && subchannel.state === "failing") this.#remove(subchannel);
  }

  /** Makes the list of those that are ready, after endpoints came, went or changed. */
  #relist(): void {
    const ready: Endpoint[] = [];
    for (const { state, endpoint } of this.#subchannels.values()) if (state === "ready") ready.push(endpoint);
    const sorted = sortById(ready);
    const isSame = sorted.length === this.#ready.length && sorted.every((endpoint, i) => endpoint === this.#ready[i]);
    if (!isSame) this.#ready = sorted;
  }

  /** Brings picker and state in line with the subchannels. */
  #update(): void {
    if (this.state.type === "closed") return;
    const isSettled = this.#ready.length > 0 ? this.#isSettled() : this.#settled;
    // Not before: of the list that grows while the first connections come, nobody picks.
    if (isSettled && this.#picked !== this.#ready) {
      this.#picker = this.#options.balancer(this.#ready, this.#picker);
      this.#picked = this.#ready;
    }
    if (isSettled && this.#ready.length > 0 && this.#picker !== undefined) {
      if (this.state.type !== "ready" || this.state.picker !== this.#picker) {
        this.#move({ type: "ready", picker: this.#picker });
      }
      return;
    }
    const count = this.#subchannels.size;
    if (count === 0) this.#move({ type: "empty" });
    else if (!this.#isAny("connecting") && !this.#isAny("ready"))
      this.#move({ type: "failing", count, error: this.#newest()?.lastError });
    // Whoever waits goes on waiting.
    else if (this.state.type === "connecting") this.state = { type: "connecting", count };
    else this.#move({ type: "connecting", count });
  }

  #isAny(wanted: SubchannelState): boolean {
    for (const { state } of this.#subchannels.values()) if (state === wanted) return true;
    return false;
  }

  #newest(): Subchannel | undefined {
    return [...this.#subchannels.values()].at(-1);
  }

  /** The first round starts once every endpoint has answered or failed, or `settleMs` after the first is ready. */
  #isSettled(): boolean {
    if (this.#settled) return true;
    this.#settled = !this.#isAny("connecting");
    if (this.#settled) {
      this.#cancelSettle?.();
    } else {
      this.#cancelSettle ??= this.#options.clock.schedule(this.#options.settleMs, () => {
        this.#settled = true;
        this.#update();
      });
    }
    return this.#settled;
  }

  #move(state: PoolState): void {
    this.state = state;
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const waiter of waiters) waiter();
  }
}
