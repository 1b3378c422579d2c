// A resolver that shows a few of another's endpoints: for who may open only so many connections. Asks nobody itself.

import type { Endpoint } from "../../../core/endpoint.ts";
import type { Resolver } from "../../../resolver/resolver.ts";

/**
 * Shows at most `max` endpoints of `resolver`, the same ones as long as they are there; which ones depends on `seed`, so that
 * objects of different names share them out (rendezvous hashing: who comes or goes moves no others).
 */
export function someEndpoints(resolver: Resolver, max: number, seed: string): Resolver {
  const choose = (endpoints: readonly Endpoint[]): readonly Endpoint[] => {
    if (endpoints.length <= max) return endpoints;
    const ranked = endpoints.map((endpoint) => ({ endpoint, rank: hash(`${seed}\n${endpoint.id}`) }));
    ranked.sort((a, b) => a.rank - b.rank || (a.endpoint.id < b.endpoint.id ? -1 : 1));
    return ranked
      .slice(0, max)
      .map(({ endpoint }) => endpoint)
      .sort((a, b) => (a.id < b.id ? -1 : 1));
  };
  return {
    description: resolver.description,
    subscribe: (listener) =>
      resolver.subscribe({
        onSnapshot: (snapshot) => listener.onSnapshot({ ...snapshot, endpoints: choose(snapshot.endpoints) }),
        onError: (error) => listener.onError(error),
      }),
    refresh: () => resolver.refresh(),
  };
}

/** FNV-1a with 32 bits, and the finalizer of MurmurHash3: the last characters, in which ids differ, must reach every bit. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) h = Math.imul(h ^ text.charCodeAt(at), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
