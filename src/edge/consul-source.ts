// Snapshots out of Consul: one plain read of a service's health. Keeps no blocking query open, as an isolate could not hold one.

import { optionsOf, resolveConsulOptions } from "../consul/client-options.ts";
import type { ConsulClient, ConsulClientOptions } from "../consul/consul-client.ts";
import type { ConsulHealth } from "../consul/health.ts";
import { createHealthApi } from "../consul/health-api.ts";
import { isConsulClient } from "../consul/is-consul-client.ts";
import { confirmedAt, createLeaderlessReads } from "../consul/leaderless-reads.ts";
import type { QueryOptions } from "../consul/query.ts";
import { createSender } from "../consul/sender.ts";
import type { Clock } from "../core/clock.ts";
import { type Logger, silentLogger } from "../core/logger.ts";
import { unixClock } from "../core/unix-clock.ts";
import { warnOfAnswer } from "../resolver/answer-warnings.ts";
import {
  describeInstanceQuery,
  healthOptions,
  type InstanceQuery,
  instanceQueryKey,
  resolveInstanceQuery,
} from "../resolver/instance-query.ts";
import { readInstances, toEndpoint } from "../resolver/service-instance.ts";
import type { SnapshotSource } from "./snapshot.ts";

/** What to ask of Consul: a service query without what only a watch needs. */
export interface ConsulSourceOptions extends InstanceQuery {
  /** The agent to ask, or the gateway before it: a client, its options, or its address. */
  readonly consul: ConsulClient | ConsulClientOptions | string;
  /** Told of instances that cannot be called or that the token may not see, when they turn up. Silent by default. */
  readonly logger?: Logger;
  /** Its `now()` is Unix time. Default: the runtime's. */
  readonly clock?: Clock;
}

/**
 * Creates a source that reads a service's instances from Consul, through whatever gateway and headers `consul` names. Its identity holds
 * address, query and rights. Of a `token` function it holds what that returns now: the function is asked with every call, and where it
 * returns another token nothing is known that was read with the one before. One with a `fetch` that is made anew in every request is new
 * every time; give such a source a name, `{ ...createConsulSource(options), identity: "hello" }`. Throws TypeError or RangeError on bad
 * options.
 */
export function createConsulSource(options: ConsulSourceOptions): SnapshotSource {
  const { logger = silentLogger, clock = unixClock } = options;
  const query = resolveInstanceQuery(options, "find");
  const agent = openAgent(options.consul);
  const { service, passingOnly, scheme } = query;
  const ownWarned = new Set<string>();
  const readOnce = (read: QueryOptions) => agent.health.service(service, { ...healthOptions(query), ...read });
  // A request has no time for a read beside another, and few requests of its own to spend.
  const readHealth =
    query.consistency === "default"
      ? createLeaderlessReads({ read: readOnce, patienceMs: Number.POSITIVE_INFINITY, clock })
      : readOnce;
  const source: SnapshotSource = {
    description: describeInstanceQuery(query, agent.address),
    async read(signal, warned = ownWarned) {
      const answer = await readHealth({ signal });
      const unusable = new Map<string, string>();
      const instances = readInstances(answer.data, passingOnly, (id, reason) => unusable.set(id, reason));
      warnOfAnswer({ ...answer, unusable, instances: instances.length }, warned, (message, fields) =>
        logger.warn(message, { service, consul: agent.address, ...fields }),
      );
      const nowMs = clock.now();
      const asOfMs = confirmedAt(answer, nowMs);
      return {
        endpoints: instances.map((instance) => toEndpoint(instance, scheme)),
        confirmedAtMs: Number.isFinite(asOfMs) ? asOfMs : nowMs,
        ...(answer.knownLeader === false && { stale: true }),
      };
    },
  };
  const identityOf = (rights: string) => JSON.stringify(["consul", rights, instanceQueryKey(query), scheme]);
  let identity = identityOf(agent.identity);
  // Not enumerable: printing a source must not show the secrets in it.
  return Object.defineProperty(source, "identity", {
    get() {
      try {
        identity = identityOf(agent.presentIdentity());
      } catch {
        // What the token function throws is the read's to tell; until then the source is who it was.
      }
      return identity;
    },
  });
}

/** The part of a client that is used. */
interface Agent {
  readonly address: string;
  readonly identity: string;
  /** The identity, with what a token function returns now. Throws what that throws. */
  presentIdentity(): string;
  readonly health: Pick<ConsulHealth, "service">;
}

/** One made here has nothing else, which keeps the bundle small. */
function openAgent(consul: ConsulSourceOptions["consul"]): Agent {
  if (isConsulClient(consul)) {
    const { address, identity, health } = consul;
    return { address, identity, health, presentIdentity: () => optionsOf(consul)?.presentIdentity() ?? identity };
  }
  const resolved = resolveConsulOptions(typeof consul === "string" ? { address: consul } : consul);
  const { address, identity } = resolved;
  const health = createHealthApi(createSender(resolved));
  return { address, identity, health, presentIdentity: () => resolved.presentIdentity() };
}
