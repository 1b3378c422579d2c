// Waits until Consul no longer lists an instance, by a blocking health query. Deregisters nothing.

import { followQuery } from "../consul/blocking-query.ts";
import type { ConsulClient } from "../consul/consul-client.ts";
import type { Clock } from "../core/clock.ts";
import type { Random } from "../core/random.ts";

/** Which instance, seen by whom. */
export interface GoneOptions {
  readonly client: ConsulClient;
  readonly name: string;
  readonly id: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly signal?: AbortSignal;
}

/**
 * Resolves when the health of the service, over all instances whatever their status, has no entry of this id on the agent's node.
 * Consul's errors do not end the wait; rejects with the signal's reason. A token that may not read the service sees an empty
 * list: then it resolves at once.
 */
export async function waitUntilGone(options: GoneOptions): Promise<void> {
  const { client, name, id, clock, random, signal } = options;
  signal?.throwIfAborted();
  // Another node may have an instance of the same id (both on 127.0.0.1, say). Where the token may not ask who the agent is,
  // the id alone must do.
  const node = await nodeName(client, signal);
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
          ({ Node, Service }) => Service.ID === id && (node === undefined || Node.Node === node),
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

async function nodeName(client: ConsulClient, signal: AbortSignal | undefined): Promise<string | undefined> {
  try {
    const { Config: config } = await client.agent.self(signal === undefined ? {} : { signal });
    const name = (config as { readonly NodeName?: unknown } | undefined)?.NodeName;
    return typeof name === "string" ? name : undefined;
  } catch {
    return undefined;
  }
}
