// The subchannels of a pool, one for each endpoint that it believes in, and those that still finish calls. Decides neither who exists nor who
// is picked.

import type { BackoffOptions } from "../../core/backoff.ts";
import type { Clock } from "../../core/clock.ts";
import type { Endpoint } from "../../core/endpoint.ts";
import type { Logger } from "../../core/logger.ts";
import { sameInstance } from "../../resolver/service-instance.ts";
import type { CallCounts, Connector } from "../connector.ts";
import type { WatchHealth } from "./health-watch.ts";
import { Subchannel, type SubchannelState } from "./subchannel.ts";

/** What a set needs, and who is told of it. */
export interface SubchannelSetOptions {
  readonly connector: Connector;
  readonly backoff: BackoffOptions;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called when one is new, before it starts. */
  readonly onAdded: (subchannel: Subchannel) => void;
  /** Called when one is out of use, before it drains. */
  readonly onRemoved: (subchannel: Subchannel) => void;
  /** Called after every change of state of one that is in use. */
  readonly onChange: (subchannel: Subchannel) => void;
}

export class SubchannelSet {
  readonly #options: SubchannelSetOptions;
  readonly #byId = new Map<string, Subchannel>();
  /** Those that finish their calls and are in use no more. */
  readonly #leaving = new Map<Subchannel, Promise<void>>();
  #watchHealth: WatchHealth | undefined;
  /** What connections of endpoints that are gone have counted. */
  #pastOk = 0;

  constructor(options: SubchannelSetOptions) {
    this.#options = options;
  }

  /** How many are in use. */
  get size(): number {
    return this.#byId.size;
  }

  /** How many still finish calls. */
  get leaving(): number {
    return this.#leaving.size;
  }

  /** Those in use. */
  values(): Iterable<Subchannel> {
    return this.#byId.values();
  }

  get(endpointId: string): Subchannel | undefined {
    return this.#byId.get(endpointId);
  }

  isAny(wanted: SubchannelState): boolean {
    for (const { state } of this.#byId.values()) if (state === wanted) return true;
    return false;
  }

  /** The one that was added last. */
  newest(): Subchannel | undefined {
    return [...this.#byId.values()].at(-1);
  }

  /** A count of all connections there are. */
  sum(name: keyof CallCounts): number {
    let sum = 0;
    for (const { counts } of this.#byId.values()) sum += counts[name];
    for (const { counts } of this.#leaving.keys()) sum += counts[name];
    return sum;
  }

  /** How many calls have ended with ok so far, on connections to whatever endpoint. */
  okCalls(): number {
    return this.#pastOk + this.sum("ok");
  }

  /** Asks for the health of connections in another way, or no more, from now on. */
  watchHealth(watch: WatchHealth | undefined): void {
    this.#watchHealth = watch;
    for (const subchannel of this.#byId.values()) subchannel.watchHealth = watch;
  }

  /** Has one for each of `endpoints` and no other. New ones connect where `connects`; those that are `isHeld` do not connect again. */
  bring(endpoints: readonly Endpoint[], isHeld: (endpointId: string) => boolean, connects: boolean): void {
    const orphans = this.#releaseOrphans(endpoints);
    for (const endpoint of endpoints) {
      const known = this.#byId.get(endpoint.id) ?? this.#adopt(orphans, endpoint);
      if (known === undefined) {
        this.#add(endpoint, connects);
        continue;
      }
      const isNews = !sameInstance(known.endpoint, endpoint);
      known.endpoint = endpoint;
      // It may be another server by now: what was learnt about reaching it is out of date.
      if (isNews) known.retryNow();
      known.isLast = isHeld(endpoint.id);
    }
    for (const orphan of orphans.values()) this.remove(orphan);
  }

  /** Out of use at once; its calls finish. */
  remove(subchannel: Subchannel): void {
    const { logger, onRemoved } = this.#options;
    this.#byId.delete(subchannel.endpoint.id);
    logger.debug("endpoint removed", { endpoint: subchannel.endpoint.url, id: subchannel.endpoint.id });
    onRemoved(subchannel);
    this.#leaving.set(
      subchannel,
      subchannel.drain().finally(() => {
        this.#leaving.delete(subchannel);
        this.#pastOk += subchannel.counts.ok;
      }),
    );
  }

  /** Finishes the calls in flight for at most `graceMs`, then closes every connection. Call once, and then nothing else. */
  async close(graceMs: number): Promise<void> {
    const all = [...this.#byId.values(), ...this.#leaving.keys()];
    this.#byId.clear();
    const cancel = this.#options.clock.schedule(graceMs, () => {
      for (const subchannel of all) void subchannel.close(new Error("the transport was closed"));
    });
    await Promise.all(all.map((subchannel) => subchannel.drain()));
    cancel();
  }

  /** Removes those whose id is another address now. Returns, by address, those whose id is unknown: the address may have another id. */
  #releaseOrphans(endpoints: readonly Endpoint[]): Map<string, Subchannel> {
    const wanted = new Map(endpoints.map((endpoint) => [endpoint.id, endpoint]));
    const orphans = new Map<string, Subchannel>();
    for (const subchannel of [...this.#byId.values()]) {
      const { id, url } = subchannel.endpoint;
      const endpoint = wanted.get(id);
      if (endpoint?.url === url) continue;
      if (endpoint === undefined && !orphans.has(url)) orphans.set(url, subchannel);
      else this.remove(subchannel);
    }
    return orphans;
  }

  /** The address under another id, as of an agent that came back as another node: the same server, and the same connection. */
  #adopt(orphans: Map<string, Subchannel>, endpoint: Endpoint): Subchannel | undefined {
    const subchannel = orphans.get(endpoint.url);
    if (subchannel === undefined) return undefined;
    orphans.delete(endpoint.url);
    this.#options.logger.debug("endpoint renamed", { endpoint: endpoint.url, id: endpoint.id });
    this.#byId.delete(subchannel.endpoint.id);
    this.#byId.set(endpoint.id, subchannel);
    return subchannel;
  }

  #add(endpoint: Endpoint, connects: boolean): void {
    const { logger, onAdded, onChange } = this.#options;
    const subchannel = new Subchannel(endpoint, {
      ...this.#options,
      watchHealth: this.#watchHealth,
      onChange: (changed) => {
        if (this.#byId.get(changed.endpoint.id) === changed) onChange(changed);
      },
    });
    this.#byId.set(endpoint.id, subchannel);
    onAdded(subchannel);
    logger.debug("endpoint added", { endpoint: endpoint.url, id: endpoint.id });
    if (connects) subchannel.start();
  }
}
