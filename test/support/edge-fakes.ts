// What an edge client stands on, without a network: a fetch that answers as EchoService does, and a source of snapshots that a test feeds by hand.

import { createClient } from "@connectrpc/connect";
import type { EdgeTransport } from "../../src/edge/call-endpoints.ts";
import { createEdgeTransport } from "../../src/edge/create-edge-transport.ts";
import type { EdgeTransportOptions, FetchFunction } from "../../src/edge/edge-options.ts";
import type { DiscoveryState } from "../../src/edge/endpoint-discovery.ts";
import type { EndpointSnapshot, SnapshotSource } from "../../src/edge/snapshot.ts";
import type { ManualClock } from "../../src/testing/manual-clock.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { endpoint } from "./endpoints.ts";

/** A fetch that keeps what it was asked. Its answers are JSON, for transports with `useBinaryFormat: false`. */
export interface EchoFetch {
  readonly fetch: FetchFunction;
  /** The first label of the host of each request, in order: `a` for http://a.test:1. */
  readonly hosts: readonly string[];
  readonly inits: readonly RequestInit[];
  /** Hosts that do not answer: fetch rejects with what is here. */
  readonly down: Map<string, Error>;
}

/** Creates a fetch where every host answers with its name. */
export function createEchoFetch(): EchoFetch {
  const hosts: string[] = [];
  const inits: RequestInit[] = [];
  const down = new Map<string, Error>();
  return {
    hosts,
    inits,
    down,
    async fetch(url, init) {
      const host = new URL(url).hostname.split(".")[0] ?? "";
      hosts.push(host);
      inits.push(init);
      const failure = down.get(host);
      if (failure !== undefined) throw failure;
      return Response.json({ text: "x", server: host });
    },
  };
}

/** A failure that proves nothing: the connection was lost. */
export function lost(): Error {
  return new TypeError("fetch failed", { cause: new Error("the connection was lost") });
}

/** A failure that proves that no connection was made. */
export function refused(): Error {
  return new TypeError("fetch failed", {
    cause: Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED", syscall: "connect" }),
  });
}

/** A source whose reads the test answers, or lets answer themselves. */
export interface HandSource extends SnapshotSource {
  /** Reads so far. */
  readonly reads: number;
  /** Signals of the reads, in order. */
  readonly signals: readonly AbortSignal[];
  /** What a read answers at once: ids of endpoints, an error, or undefined to leave it to `answer` and `fail`. */
  next: readonly string[] | Error | undefined;
  /** Answers all waiting reads. */
  answer(ids: readonly string[], confirmedAtMs?: number): void;
  /** Fails all waiting reads. */
  fail(error: Error): void;
}

/** A snapshot of endpoints with these ids: http://<id>.test:1 each. */
export function snapshot(ids: readonly string[], confirmedAtMs: number): EndpointSnapshot {
  return { endpoints: ids.map((id) => endpoint(id)), confirmedAtMs };
}

/** Creates a source; what it answers is confirmed `now()`. */
export function createHandSource(now: () => number, next?: readonly string[] | Error): HandSource {
  const signals: AbortSignal[] = [];
  const waiting: PromiseWithResolvers<EndpointSnapshot>[] = [];
  const source: HandSource = {
    description: "the test's list",
    get reads() {
      return signals.length;
    },
    signals,
    next,
    read(signal) {
      signals.push(signal);
      if (source.next instanceof Error) return Promise.reject(source.next);
      if (source.next !== undefined) return Promise.resolve(snapshot(source.next, now()));
      const pending = Promise.withResolvers<EndpointSnapshot>();
      waiting.push(pending);
      return pending.promise;
    },
    answer(ids, confirmedAtMs = now()) {
      for (const { resolve } of waiting.splice(0)) resolve(snapshot(ids, confirmedAtMs));
    },
    fail(error) {
      for (const { reject } of waiting.splice(0)) reject(error);
    },
  };
  return source;
}

/** All messages of a stream. */
export async function collect<T>(messages: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const message of messages) all.push(message);
  return all;
}

/** One transport of `openOverSource`. */
export interface OpenedEdge {
  readonly transport: EdgeTransport;
  /** Resolves with the host that answered. */
  call(options?: { signal?: AbortSignal; timeoutMs?: number }): Promise<string>;
  state(): DiscoveryState;
}

/** A client over a source that answers with a and b. */
export function openOverSource(options: Partial<EdgeTransportOptions> & { readonly clock: ManualClock }): OpenedEdge & {
  readonly source: HandSource;
  readonly hosts: readonly string[];
  readonly down: Map<string, Error>;
  /** Another transport of the same options, but for these. */
  openAnother(others?: Partial<EdgeTransportOptions>): OpenedEdge;
} {
  const { fetch, hosts, down } = createEchoFetch();
  const source = createHandSource(options.clock.now, ["a", "b"]);
  const openAnother = (others: Partial<EdgeTransportOptions> = {}): OpenedEdge => {
    const transport = createEdgeTransport({ source, fetch, useBinaryFormat: false, ...options, ...others });
    const client = createClient(EchoService, transport);
    return {
      transport,
      call: async (callOptions) => (await client.unary({ text: "x" }, callOptions)).server,
      state: () => transport.discovery(),
    };
  };
  return { source, hosts, down, openAnother, ...openAnother() };
}
