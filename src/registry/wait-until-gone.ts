// Waits until Consul no longer lists an instance, by a blocking health query. Deregisters nothing.

import { followQuery } from "../consul/blocking-query.ts";
import type { ConsulClient } from "../consul/consul-client.ts";
import type { Clock } from "../core/clock.ts";
import type { Random } from "../core/random.ts";

/** Longest wait for an agent to say which node it is: one that had the instance may be gone itself. */
const homeTimeoutMs = 1000;

/** Which instance, seen by whom. */
export interface GoneOptions {
  readonly client: ConsulClient;
  readonly name: string;
  readonly id: string;
  /** The agents that had the instance; the client itself where there is one. */
  readonly homes: readonly ConsulClient[];
  readonly clock: Clock;
  readonly random: Random;
  /** Whether an instance that is listed as critical counts as gone. Default false. */
  readonly orCritical?: boolean;
  readonly signal?: AbortSignal;
}

/**
 * Resolves when the health of the service, over all instances whatever their status, has no entry of this id on the agent's node. Where
 * several agents had the instance, one that is critical counts as gone: one of them may be away for good, and nobody calls it.
 * Consul's errors do not end the wait; rejects with the signal's reason. A token that may not read the service sees an empty
 * list: then it resolves at once.
 */
export async function waitUntilGone(options: GoneOptions): Promise<void> {
  const { client, name, id, homes, clock, random, orCritical = false, signal } = options;
  signal?.throwIfAborted();
  // Another node may have an instance of the same id (both on 127.0.0.1, say). Where the token may not ask who the agent is,
  // the id alone must do.
  const nodes = await Promise.all(
    (homes.length === 0 ? [client] : homes).map((home) => nodeName(home, signal, homeTimeoutMs)),
  );
  const isOurs = (node: string) => nodes.includes(node) || nodes.includes(undefined);
  signal?.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const finish = (): void => {
      query.close();
      signal?.removeEventListener("abort", onAbort);
    };
    const onAbort = (): void => {
      finish();
      reject(signal?.reason);
    };
    const query = followQuery<boolean>({
      read: async (read) => {
        const result = await client.health.service(name, read);
        const listed = result.data.some(
          ({ Node, Service, Checks }) =>
            Service.ID === id &&
            isOurs(Node.Node) &&
            !((orCritical || nodes.length > 1) && Checks.some(({ Status }) => Status === "critical")),
        );
        return { ...result, data: listed };
      },
      same: (a, b) => a === b,
      onResult: ({ data: listed }) => {
        if (listed) return;
        finish();
        resolve();
      },
      onError: () => {},
      clock,
      random,
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

/** The node that an agent is; undefined where it cannot be asked, within the client's own limit or this one, or the token may not. */
export async function nodeName(
  client: ConsulClient,
  signal: AbortSignal | undefined,
  timeoutMs?: number,
): Promise<string | undefined> {
  try {
    const { Config: config } = await client.agent.self({
      ...(signal === undefined ? {} : { signal }),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    });
    const name = (config as { readonly NodeName?: unknown } | undefined)?.NodeName;
    return typeof name === "string" ? name : undefined;
  } catch {
    return undefined;
  }
}
