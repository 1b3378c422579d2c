// With which of several agents an instance is registered, and what becomes of those it has left. An instance is in one agent's local state,
// which that agent carries into the catalog by itself: so it is registered with one at a time, and taken out of every other it was sent to.
// https://developer.hashicorp.com/consul/docs/concept/consistency#anti-entropy
// Registers nothing and beats no heart.

import { type ConsulClient, eachAgent } from "../consul/consul-client.ts";
import { isAgentsFault } from "../consul/consul-error.ts";
import { createBackoff } from "../core/backoff.ts";
import { type Clock, sleep } from "../core/clock.ts";
import type { Logger } from "../core/logger.ts";
import type { Random } from "../core/random.ts";
import { nodeName } from "./wait-until-gone.ts";

/** Whose agents, and how patient to be with them. */
export interface HomesOptions {
  readonly client: ConsulClient;
  readonly name: string;
  readonly id: string;
  /** Milliseconds without an answer that accepts us after which the next agent is tried. */
  readonly failoverAfterMs: number;
  /** Milliseconds between looks at an agent that was left. */
  readonly intervalMs: number;
  /** Aborted when the registration is closed. */
  readonly signal: AbortSignal;
  /** An agent that was left has let the instance go, and the one in use does not know it now: the two were one. */
  readonly onLost: () => void;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
}

/** The agents of one instance. */
export interface Homes {
  /** The agent to register with. */
  readonly current: ConsulClient;
  /** How many there are. */
  readonly count: number;
  /** Milliseconds that the one in use may take to accept a registration; undefined where there is no other to go to. */
  readonly patienceMs: number | undefined;
  /** Agents that may still have the instance, the one in use aside. */
  readonly left: readonly ConsulClient[];
  /** Whether the one in use was ever sent a registration. */
  readonly wasSent: boolean;
  /** All that were ever sent one. */
  readonly all: readonly ConsulClient[];
  /** A registration is on its way to the one in use. */
  noteSent(): void;
  /** The one in use has accepted a registration or a heartbeat. */
  noteAccepted(): void;
  /** The one in use lists the instance as registered: takes it out of the others, in its own time. Not while others may still be needed. */
  settle(): void;
  /**
   * Goes on to the next agent where this one has accepted nothing for too long, or fails and never had us; whether it did. Not for an `error`
   * that is a refusal: the others would refuse as well. Undefined: nothing was heard.
   */
  moveIfOverdue(error: unknown): boolean;
}

/**
 * How long an instance must have been at home before it is taken out elsewhere, where the token may not ask which node an agent is: longer
 * than the servers need to hear of it by anti-entropy, once a minute in clusters of up to 128 nodes.
 */
const unseenMs = 120_000;
const longestPauseMs = 60_000;
/** How long an agent that never had the instance may take to say something. */
const newcomerPatienceMs = 3000;
const deregisterTimeoutMs = 30_000;

/** Creates the agents of one instance, in the order of the client's addresses. */
export function createHomes(options: HomesOptions): Homes {
  const { client, name, id, failoverAfterMs, intervalMs, signal, logger, clock, random } = options;
  const homes = eachAgent(client);
  const sent = new Set<ConsulClient>();
  const left = new Set<ConsulClient>();
  /** Agents that have accepted us at some time. */
  const accepted = new Set<ConsulClient>();
  /** Moves since one did. */
  let moves = 0;
  /** Agents that are being taken leave of. */
  const leaving = new Set<ConsulClient>();
  let current: ConsulClient = homes[0];
  let acceptedAtMs = clock.now();
  /** Since when the one in use has us, without a break. */
  let settledAtMs: number | undefined;

  /**
   * Whether the catalog lists the instance on the node of the agent in use. Until then it must not leave the other: while the servers have no
   * leader an agent accepts a registration that nobody else hears of.
   */
  const isListedAtHome = async (): Promise<boolean> => {
    const here = current;
    const node = await nodeName(here, signal);
    if (node === undefined) return settledAtMs !== undefined && clock.now() - settledAtMs >= unseenMs;
    const { data } = await here.health.service(name, { signal });
    return here === current && data.some(({ Node, Service }) => Service.ID === id && Node.Node === node);
  };

  const leave = async (home: ConsulClient): Promise<void> => {
    const backoff = createBackoff({
      initialMs: intervalMs,
      maxMs: Math.max(intervalMs, longestPauseMs),
      multiplier: 1.5,
      random,
    });
    while (left.has(home)) {
      await sleep(backoff.next(), clock, signal);
      if (!left.has(home)) return;
      try {
        if (settledAtMs === undefined || !(await isListedAtHome())) continue;
        if (!left.has(home)) return;
        await home.agent.deregisterService(id, { signal, timeoutMs: deregisterTimeoutMs });
      } catch {
        // Still away, or Consul is: it is asked again for as long as we are here.
        continue;
      }
      left.delete(home);
      logger.info("Left the Consul agent used before", { service: name, id, consul: home.address });
      // Two addresses of one agent: then it has let go of what it should keep.
      if ((await current.agent.service(id, { signal })) === undefined) options.onLost();
    }
  };

  return {
    get current() {
      return current;
    },
    count: homes.length,
    get patienceMs() {
      if (homes.length === 1) return undefined;
      return accepted.has(current) ? failoverAfterMs : Math.min(failoverAfterMs, newcomerPatienceMs);
    },
    get left() {
      return [...left];
    },
    get wasSent() {
      return sent.has(current);
    },
    get all() {
      return [...sent];
    },
    noteSent() {
      sent.add(current);
    },
    noteAccepted() {
      accepted.add(current);
      moves = 0;
      acceptedAtMs = clock.now();
    },
    settle() {
      settledAtMs ??= clock.now();
      for (const home of left) {
        if (leaving.has(home)) continue;
        leaving.add(home);
        leave(home)
          // Ended by the close of the registration, which takes it out of every agent by itself.
          .catch(() => {})
          .finally(() => leaving.delete(home));
      }
    },
    moveIfOverdue(error) {
      if (homes.length === 1 || signal.aborted) return false;
      if (error !== undefined && !isAgentsFault(error)) return false;
      // Whoever never had us holds nothing that would be in two places.
      const isNewcomer = error !== undefined && !accepted.has(current);
      if (!isNewcomer && clock.now() - acceptedAtMs < failoverAfterMs) return false;
      const next = homes[(homes.indexOf(current) + 1) % homes.length] ?? current;
      // Once each, where none of them is there.
      if (moves++ < homes.length) {
        logger.warn("Registering with another Consul agent", {
          service: name,
          id,
          from: current.address,
          consul: next.address,
          ...(error === undefined ? {} : { error }),
        });
      }
      if (sent.has(current)) left.add(current);
      left.delete(next);
      current = next;
      acceptedAtMs = clock.now();
      settledAtMs = undefined;
      return true;
    },
  };
}
