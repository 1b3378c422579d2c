// Endpoints, and a resolver that a test feeds by hand.

import type { Endpoint } from "../../src/core/endpoint.ts";
import type { Resolver, ResolverListener } from "../../src/resolver/resolver.ts";

/** An endpoint with an id and nothing special. */
export function endpoint(id: string, fields: Partial<Endpoint> = {}): Endpoint {
  return { id, url: `http://${id}.test:1`, weight: 1, health: "passing", zone: "", tags: [], meta: {}, ...fields };
}

/** A resolver whose answers are the test's. */
export interface HandResolver extends Resolver {
  push(endpoints: readonly Endpoint[]): void;
  fail(error: unknown): void;
  readonly listeners: number;
  readonly refreshes: number;
}

export function createHandResolver(initial?: readonly Endpoint[]): HandResolver {
  const listeners = new Set<ResolverListener>();
  let known = initial;
  let refreshes = 0;
  const snapshot = (endpoints: readonly Endpoint[]) => ({ endpoints, stale: false, confirmedAtMs: 0 });
  return {
    description: "the test's endpoints",
    subscribe(listener) {
      listeners.add(listener);
      if (known !== undefined) listener.onSnapshot(snapshot(known));
      return () => listeners.delete(listener);
    },
    async refresh() {
      refreshes++;
    },
    push(endpoints) {
      known = endpoints;
      for (const listener of [...listeners]) listener.onSnapshot(snapshot(endpoints));
    },
    fail(error) {
      for (const listener of [...listeners]) listener.onError(error);
    },
    get listeners() {
      return listeners.size;
    },
    get refreshes() {
      return refreshes;
    },
  };
}
