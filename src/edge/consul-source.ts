// Snapshots out of Consul: one plain read of a service's health. Keeps no blocking query open, as an isolate could not hold one.

import { resolveConsulOptions } from "../consul/client-options.ts";
import type { ConsulClient, ConsulClientOptions } from "../consul/consul-client.ts";
import type { ConsulHealth } from "../consul/health.ts";
import { createHealthApi } from "../consul/health-api.ts";
import { createRequester } from "../consul/request.ts";
import type { Clock } from "../core/clock.ts";
import { type Logger, silentLogger } from "../core/logger.ts";
import { readInstances } from "../resolver/service-instance.ts";
import {
  describeQuestion,
  healthOptions,
  type QuestionOptions,
  resolveQuestion,
} from "../resolver/service-question.ts";
import type { SnapshotSource } from "./snapshot.ts";
import { unixClock } from "./unix-clock.ts";

/** What to ask of Consul: a service query without what only a watch needs. */
export interface ConsulSourceOptions extends QuestionOptions {
  /** The agent to ask, or the gateway before it: a client, its options, or its address. */
  readonly consul: ConsulClient | ConsulClientOptions | string;
  /** Told of instances that cannot be called. Silent by default. */
  readonly logger?: Logger;
  /** Its `now()` is Unix time. Default: the runtime's. */
  readonly clock?: Clock;
}

/**
 * Creates a source that reads a service's instances from Consul, through whatever gateway and headers `consul` names. Its identity holds
 * address, question and rights: one with a `token` or `fetch` function that is made anew in every request is new every time; give such a
 * source a name, `{ ...createConsulSource(options), identity: "hello" }`. Throws TypeError or RangeError on bad options.
 */
export function createConsulSource(options: ConsulSourceOptions): SnapshotSource {
  const { logger = silentLogger, clock = unixClock } = options;
  const question = resolveQuestion(options, "find");
  const agent = openAgent(options.consul);
  const { service, passingOnly, scheme } = question;
  const source: SnapshotSource = {
    description: describeQuestion(question, agent.address),
    async read(signal) {
      const { data, filteredByAcls } = await agent.health.service(service, { ...healthOptions(question), signal });
      const instances = readInstances(data, passingOnly, (instance, reason) =>
        logger.warn("An instance cannot be called", { service, instance, reason }),
      );
      if (instances.length === 0 && filteredByAcls) {
        logger.warn("Consul hides instances from this token: it needs service:read and node:read", { service });
      }
      const endpoints = instances.map(({ hostPort, ...rest }) => ({ ...rest, url: `${scheme}://${hostPort}` }));
      return { endpoints, confirmedAtMs: clock.now() };
    },
  };
  // Not enumerable: printing a source must not show the secrets in it.
  const asked = { ...question, service: service.toLowerCase(), tags: question.tags.toSorted() };
  const identity = JSON.stringify(["consul", agent.identity, asked]);
  return Object.defineProperty(source, "identity", { value: identity });
}

/** The part of a client that is used. One made here has nothing else, which keeps the bundle small. */
function openAgent(consul: ConsulSourceOptions["consul"]): Pick<ConsulClient, "address" | "identity"> & {
  readonly health: Pick<ConsulHealth, "service">;
} {
  if (typeof consul === "object" && "agent" in consul) return consul;
  const resolved = resolveConsulOptions(typeof consul === "string" ? { address: consul } : consul);
  const { address, identity } = resolved;
  return { address, identity, health: createHealthApi(createRequester(resolved)) };
}
