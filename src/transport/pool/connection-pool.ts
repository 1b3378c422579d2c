// The connections of one transport: follows the resolver, keeps a subchannel an endpoint, and holds the picker over those that
// are ready. Decides which endpoints exist (and what it believes of the resolver); places no calls.

import type { PickResult } from "../../balancer/picker.ts";
import type { BackoffOptions } from "../../core/backoff.ts";
import type { CallFate } from "../../core/call-fate.ts";
import type { Clock } from "../../core/clock.ts";
import type { Endpoint } from "../../core/endpoint.ts";
import type { Logger } from "../../core/logger.ts";
import type { Resolver, ResolverSnapshot } from "../../resolver/resolver.ts";
import type { Connection, Connector } from "../connector.ts";
import { EndpointBelief, type ResolvedShrinkHold } from "./endpoint-belief.ts";
import { createHealthWatch } from "./health-watch.ts";
import { IdleTimer } from "./idle-timer.ts";
import type { PoolState } from "./pool-state.ts";
import { sortById, withEndpoint, withoutEndpoint } from "./ready-list.ts";
import { ReadyPicker, type ReadyPickerOptions } from "./ready-picker.ts";
import type { Subchannel } from "./subchannel.ts";
import { SubchannelSet } from "./subchannel-set.ts";
import { type PlacementFacts, type TransportStatus, transportStatus } from "./transport-status.ts";

/** What a pool needs; every default is resolved by its owner. */
export interface ConnectionPoolOptions extends ReadyPickerOptions {
  readonly resolver: Resolver;
  readonly connector: Connector;
  readonly backoff: BackoffOptions;
  /** How long the first calls wait for the slower endpoints once one is ready, so that the round begins with all of them. */
  readonly settleMs: number;
  /** How long an empty answer is not believed while connections work. */
  readonly emptyGraceMs: number;
  /** What answers are not believed that lack many. */
  readonly shrinkHold: ResolvedShrinkHold;
  /** Time without a call after which connections are closed until the next one; Infinity: never. */
  readonly idleTimeoutMs: number;
  /** The service whose health connections are asked for; undefined: whoever is connected is well. */
  readonly healthService: string | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class ConnectionPool {
  state: PoolState = { type: "unresolved", error: undefined };
  readonly #options: ConnectionPoolOptions;
  readonly #subchannels: SubchannelSet;
  readonly #waiters = new Set<() => void>();
  #unsubscribe: (() => void) | undefined;
  /** Sorted by id. */
  #ready: readonly Endpoint[] = [];
  readonly #picking: ReadyPicker;
  /** The list that `#picking` was given last. */
  #picked: readonly Endpoint[] | undefined;
  /** Of how many endpoints. */
  #pickedOf = 0;
  readonly #probe: (mayRepeat: boolean) => PickResult | undefined = (mayRepeat) => this.#picking.probe(mayRepeat);
  readonly #idle: IdleTimer;
  #healthService: string | undefined;
  /** No call was made for long: there are no connections. */
  #isIdle = false;
  #settled = false;
  #cancelSettle: (() => void) | undefined;
  readonly #belief: EndpointBelief;
  /** The resolver's last. */
  #snapshot: ResolverSnapshot | undefined;
  /** What is in use comes from a store, and the source has named nobody yet. */
  #isHearsay = false;
  /** Why its last attempt failed, where it did. */
  #resolverError: unknown;

  constructor(options: ConnectionPoolOptions) {
    this.#options = options;
    this.#belief = new EndpointBelief({ ...options, onRelease: (released) => this.#onRelease(released) });
    this.#subchannels = new SubchannelSet({
      ...options,
      onAdded: (subchannel) => this.#picking.add(subchannel),
      onRemoved: (subchannel) => this.#picking.remove(subchannel),
      onChange: (subchannel) => this.#onSubchannel(subchannel),
    });
    this.#watchHealthOf(options.healthService);
    this.#picking = new ReadyPicker(
      options,
      (id) => this.#subchannels.get(id),
      () => this.#onPicker(),
    );
    this.#idle = new IdleTimer(options.clock, options.idleTimeoutMs, {
      isBusy: () => this.#waiters.size > 0 || this.#subchannels.sum("active") > 0,
      progress: () => this.okCalls() + this.#subchannels.sum("unaryEnded"),
      onIdle: () => this.#rest(),
    });
  }

  /** Starts following the resolver; goes on where there were no calls for long. Does nothing when started or closed. */
  start(): void {
    if (this.#isIdle) this.#wake();
    if (this.#unsubscribe !== undefined || this.state.type === "closed") return;
    this.#unsubscribe = () => {};
    this.#unsubscribe = this.#options.resolver.subscribe({
      onSnapshot: (snapshot) => this.#onSnapshot(snapshot),
      onError: (error) => {
        this.#resolverError = error;
        if (this.state.type === "unresolved") this.#move({ type: "unresolved", error });
        // Nobody waits for that.
        else if (this.state.type === "empty") this.state = this.#empty();
      },
    });
  }

  /** The connection behind an endpoint that was picked; undefined where it has just been lost. */
  connection(endpointId: string): Connection | undefined {
    return this.#subchannels.get(endpointId)?.connection;
  }

  /** How many calls have ended with ok so far, on connections to whatever endpoint. */
  okCalls(): number {
    return this.#subchannels.okCalls();
  }

  /** An attempt at a call failed on an endpoint that was picked. */
  onCallFailed(endpointId: string, error: unknown, fate: CallFate): void {
    const subchannel = this.#subchannels.get(endpointId);
    if (subchannel !== undefined) this.#picking.onCallFailed(subchannel, error, fate);
  }

  /** Other ways to tell who is well, from now on. */
  configure({
    outlierDetection,
    healthService,
  }: Pick<ConnectionPoolOptions, "outlierDetection" | "healthService">): void {
    this.#watchHealthOf(healthService);
    this.#picking.configureOutliers(outlierDetection);
  }

  /** What there is to say of the transport now. */
  status(placement: PlacementFacts): TransportStatus {
    const { clock, resolver } = this.#options;
    return transportStatus(
      {
        clock,
        state: this.state.type,
        isIdle: this.#isIdle || this.#unsubscribe === undefined,
        resolver: resolver.description,
        resolverError: this.#resolverError,
        snapshot: this.#snapshot && (resolver.latest ?? this.#snapshot),
        subchannels: this.#subchannels.values(),
        leaving: this.#subchannels.leaving,
        held: this.#belief.held,
        holdOf: (id) => this.#belief.holdOf(id),
        standingOf: (subchannel) => this.#picking.standing(subchannel),
      },
      placement,
    );
  }

  /** Calls `callback` once, when it is closed. Returns a function that stops the wait. */
  onceClosed(callback: () => void): () => void {
    let stop = (): void => {};
    const listen = (): void => {
      stop = this.onceChanged(() => {
        if (this.state.type === "closed") callback();
        else listen();
      });
    };
    listen();
    return () => stop();
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
    this.#belief.close();
    this.#picking.close();
    this.#idle.stop();
    // Those that are in use are gone from the set at once: nothing is told of them any more.
    const closed = this.#subchannels.close(graceMs);
    this.#move({ type: "closed" });
    await closed;
    await this.#options.resolver.released?.();
  }

  #onSnapshot(snapshot: ResolverSnapshot): void {
    if (this.state.type === "closed") return;
    // Consul is the authority on who exists, the connection on who answers: an agent that was wiped, or a token that lost its rights, also
    // answers "none", and one that comes back lists few at first.
    const isFirstHand = this.#isHearsay && snapshot.source === undefined;
    this.#isHearsay = snapshot.source === "store" || (this.#isHearsay && snapshot.endpoints.length === 0);
    this.#snapshot = snapshot;
    if (!snapshot.stale) this.#resolverError = undefined;
    const { kind, held } = this.#belief.answer(snapshot.endpoints, (id) => this.#works(id), isFirstHand);
    if (kind !== "believed") {
      const what = kind === "empty" ? "an empty answer" : "an answer that lacks many";
      this.#options.logger.warn(`${what} is not believed while connections work`, {
        resolver: this.#options.resolver.description,
        listed: snapshot.endpoints.length,
        held: held.map(({ id }) => id),
      });
    }
    this.#reconcile();
  }

  #onRelease(released: readonly Endpoint[]): void {
    this.#options.logger.info("endpoints that answers have lacked for long are let go", {
      resolver: this.#options.resolver.description,
      endpoints: released.map(({ id }) => id),
    });
    this.#reconcile();
  }

  #empty(): PoolState {
    const why = this.#snapshot?.whyEmpty;
    return { type: "empty", error: this.#resolverError, ...(why === undefined ? {} : { why }) };
  }

  /** Whether nothing speaks against an endpoint: its connection vouches for it, or would if there were calls. */
  #works(endpointId: string): boolean {
    const subchannel = this.#subchannels.get(endpointId);
    if (subchannel === undefined || this.#picking.standing(subchannel)?.isEjected) return false;
    return subchannel.state === "ready" || subchannel.state === "idle";
  }

  /** Brings the subchannels in line with what is believed. */
  #reconcile(): void {
    const isHeld = (id: string) => this.#belief.holdOf(id) !== undefined;
    this.#subchannels.bring(this.#belief.endpoints, isHeld, !this.#isIdle);
    this.#relist();
    this.#update();
  }

  #onSubchannel(subchannel: Subchannel): void {
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
    this.#picking.onState(subchannel, wasReady && this.#settled);
    this.#dropIfHeldAndLost(subchannel);
    this.#update();
    // Every connection is lost: whoever the resolver knows now may be somebody else.
    if (wasReady && this.#ready.length === 0) void this.#options.resolver.refresh();
  }

  /** An endpoint that neither the resolver lists nor a connection reaches is gone. */
  #dropIfHeldAndLost(subchannel: Subchannel): void {
    const { id } = subchannel.endpoint;
    if (!this.#works(id) && this.#belief.drop(id)) this.#subchannels.remove(subchannel);
  }

  /** One that is held and answers badly has neither the resolver's word nor its own. */
  #dropEjected(): void {
    const before = this.#belief.held;
    if (before === 0) return;
    for (const subchannel of [...this.#subchannels.values()]) {
      if (this.#picking.standing(subchannel)?.isEjected) this.#dropIfHeldAndLost(subchannel);
    }
    if (this.#belief.held === before) return;
    this.#relist();
    this.#update();
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
    if (this.state.type === "closed" || this.#isIdle) return;
    const isSettled = this.#ready.length > 0 ? this.#isSettled() : this.#settled;
    // Not before: of the list that grows while the first connections come, nobody picks.
    if (isSettled && (this.#picked !== this.#ready || this.#pickedOf !== this.#subchannels.size)) {
      this.#picked = this.#ready;
      this.#pickedOf = this.#subchannels.size;
      this.#picking.list(this.#picked, this.#pickedOf);
    }
    const { picker } = this.#picking;
    if (isSettled && this.#ready.length > 0 && picker !== undefined) {
      this.#idle.start();
      if (this.state.type !== "ready" || this.state.picker !== picker) {
        this.#move({ type: "ready", picker, probe: this.#picking.hasProbes ? this.#probe : undefined });
      }
      return;
    }
    const count = this.#subchannels.size;
    if (count === 0) this.#move(this.#empty());
    else if (!this.#subchannels.isAny("connecting") && !this.#subchannels.isAny("ready"))
      this.#move({ type: "failing", count, error: this.#subchannels.newest()?.lastError });
    // Whoever waits goes on waiting.
    else if (this.state.type === "connecting") this.state = { type: "connecting", count };
    else this.#move({ type: "connecting", count });
  }

  #watchHealthOf(service: string | undefined): void {
    if (service === this.#healthService) return;
    this.#healthService = service;
    this.#subchannels.watchHealth(service === undefined ? undefined : createHealthWatch(service, this.#options));
  }

  /** Others are picked among, or in another way. Nobody waits for that: there was something to pick before. */
  #onPicker(): void {
    this.#dropEjected();
    const { picker } = this.#picking;
    if (this.state.type !== "ready" || picker === undefined) return;
    this.state = { type: "ready", picker, probe: this.#picking.hasProbes ? this.#probe : undefined };
  }

  /** Closes the connections until the next call, as gRPC's channels do; the endpoints are followed all the same, and known at once by then. */
  #rest(): void {
    this.#options.logger.info("no calls for long: connections are closed until the next", {
      resolver: this.#options.resolver.description,
      connections: this.#ready.length,
    });
    this.#isIdle = true;
    this.#settled = false;
    this.#cancelSettle?.();
    this.#cancelSettle = undefined;
    this.#ready = [];
    for (const subchannel of this.#subchannels.values()) {
      subchannel.rest();
      this.#picking.onState(subchannel, false);
    }
    this.#move({ type: "unresolved", error: undefined });
  }

  #wake(): void {
    this.#isIdle = false;
    for (const subchannel of this.#subchannels.values()) subchannel.start();
    this.#update();
  }

  /** The first round starts once every endpoint has answered or failed, or `settleMs` after the first is ready. */
  #isSettled(): boolean {
    if (this.#settled) return true;
    this.#settled = !this.#subchannels.isAny("connecting");
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
