// A service config kept in a key of Consul's store, followed by a blocking query. Hands on the text as it is: whether it can be used, the
// transport finds out.

import { asConsulClient, type ConsulClient, type ConsulClientOptions } from "../consul/consul-client.ts";
import type { WatchKeyOptions } from "../consul/kv.ts";
import { createSnapshotFeed, type SnapshotFeed } from "../resolver/snapshot-feed.ts";
import type { ServiceConfigSource } from "../transport/service-config/service-config.ts";

/** Which key of whom. */
export interface ConsulServiceConfigOptions
  extends Pick<WatchKeyOptions, "datacenter" | "consistency" | "waitMs" | "clock" | "random"> {
  /** The agent to ask: its address, options of a client, or a client. Default `http://127.0.0.1:8500`. The token needs `key:read` on the key. */
  readonly consul?: ConsulClient | ConsulClientOptions | string;
  /** The key, like `services/hello/config`; its value is the service config as JSON. */
  readonly key: string;
}

/**
 * Follows a service config in Consul's key-value store. Its value is applied when it changes. A key that is not there, or is deleted, means
 * no config; a value that cannot be used, and errors of Consul, leave the last good one standing.
 *
 * Nothing is read while nobody listens. Transports that are given the same source share one blocking query, and so do sources of the same
 * key, client and options in this process. Throws TypeError or RangeError for a bad key or option.
 */
export function consulServiceConfig(options: ConsulServiceConfigOptions): ServiceConfigSource {
  const { consul, key, ...watching } = options;
  if (typeof key !== "string")
    throw new TypeError(`Cannot follow a service config as "key" must be a string: received ${typeof key}`);
  const client = asConsulClient(consul);
  // Checks key and options; sends nothing before somebody iterates.
  client.kv.watch(key, watching);
  const open = (onIdle: () => void) => new KeyFollower(client, key, watching, onIdle);
  return {
    description: `key ${JSON.stringify(key)} of Consul at ${client.address}`,
    subscribe(listener) {
      const { onConfig, onError } = listener;
      return followerOf(client, key, watching, open).subscribe({
        onSnapshot: ({ text }) => onConfig.call(listener, text),
        onError: (error) => onError.call(listener, error),
      });
    },
  };
}

type Watching = Omit<ConsulServiceConfigOptions, "consul" | "key">;

/**
 * Shared in the process, as the watches of services are, and for their reason: an agent allows an address 200 connections, and each blocking
 * query holds one. A follower is here only while somebody listens.
 */
const followers = new Map<string, KeyFollower>();

function followerOf(
  client: ConsulClient,
  key: string,
  { clock, random, ...rest }: Watching,
  open: (onIdle: () => void) => KeyFollower,
): KeyFollower {
  // A clock or chance of somebody's own is nobody else's.
  if (clock !== undefined || random !== undefined) return open(() => {});
  const { datacenter, consistency, waitMs } = rest;
  const name = JSON.stringify([client.identity, key, datacenter, consistency, waitMs]);
  let follower = followers.get(name);
  if (follower === undefined) {
    const opened = open(() => {
      // Whoever ends twice must not end what came after.
      if (followers.get(name) === opened) followers.delete(name);
    });
    follower = opened;
    followers.set(name, follower);
  }
  return follower;
}

/** What the key holds; undefined where it is not there. */
interface KeyText {
  readonly text: string | undefined;
}

class KeyFollower {
  readonly #client: ConsulClient;
  readonly #key: string;
  readonly #watching: Watching;
  readonly #onIdle: () => void;
  // A listener is the transport's own: it does not throw.
  readonly #feed: SnapshotFeed<KeyText> = createSnapshotFeed(() => {});
  #ending: AbortController | undefined;

  constructor(client: ConsulClient, key: string, watching: Watching, onIdle: () => void) {
    this.#client = client;
    this.#key = key;
    this.#watching = watching;
    this.#onIdle = onIdle;
  }

  subscribe(listener: Parameters<SnapshotFeed<KeyText>["subscribe"]>[0]): () => void {
    const unsubscribe = this.#feed.subscribe(listener);
    if (this.#ending === undefined) {
      this.#ending = new AbortController();
      void this.#follow(this.#ending.signal);
    }
    return () => {
      unsubscribe();
      if (this.#feed.size > 0) return;
      this.#onIdle();
      this.#ending?.abort();
    };
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const onError = (error: unknown) => {
      if (!signal.aborted) this.#feed.fail(error);
    };
    try {
      for await (const entry of this.#client.kv.watch(this.#key, { ...this.#watching, signal, onError })) {
        if (signal.aborted) return;
        this.#feed.publish({ text: entry && new TextDecoder().decode(entry.value) });
      }
    } catch {
      // Nobody listens any more: the watch ends with nothing but its signal.
    }
  }
}
