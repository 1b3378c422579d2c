// Endpoints, and a resolver that a test feeds by hand.

import type { Endpoint } from "../../src/core/endpoint.ts";
import type { Resolver, ResolverListener, ResolverSnapshot } from "../../src/resolver/resolver.ts";

/** An endpoint with an id and nothing special. */
export function endpoint(id: string, fields: Partial<Endpoint> = {}): Endpoint {
  return { id, url: `http://${id}.test:1`, weight: 1, health: "passing", zone: "", tags: [], meta: {}, ...fields };
}

/** A resolver whose answers are the test's. */
export interface HandResolver extends Resolver {
  /** `fields` say what is special about the answer: its age, that it is stale, that it comes from a store. */
  push(endpoints: readonly Endpoint[], fields?: Partial<ResolverSnapshot>): void;
  /** The same list, confirmed later: no listener is told. */
  confirm(confirmedAtMs: number): void;
  fail(error: unknown): void;
  readonly listeners: number;
  readonly refreshes: number;
}

export function createHandResolver(initial?: readonly Endpoint[]): HandResolver {
  const listeners = new Set<ResolverListener>();
  const snapshot = (endpoints: readonly Endpoint[], fields: Partial<ResolverSnapshot> = {}): ResolverSnapshot => ({
    endpoints,
    stale: false,
    confirmedAtMs: 0,
    ...fields,
  });
  let known = initial && snapshot(initial);
  let refreshes = 0;
  return {
    description: "the test's endpoints",
    subscribe(listener) {
      listeners.add(listener);
      if (known !== undefined) listener.onSnapshot(known);
      return () => listeners.delete(listener);
    },
    async refresh() {
      refreshes++;
    },
    push(endpoints, fields) {
      known = snapshot(endpoints, fields);
      for (const listener of [...listeners]) listener.onSnapshot(known);
    },
    confirm(confirmedAtMs) {
      if (known !== undefined) known = { ...known, confirmedAtMs };
    },
    get latest() {
      return known;
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
