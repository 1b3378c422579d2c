// A resolver that asks Consul every so often, as the system did that lictor replaces: it learns of a change late, and never waits for one.

import type { Resolver } from "../../src/resolver/resolver.ts";
import { createStaticResolver } from "../../src/resolver/static-resolver.ts";

/** Resolves with the resolver once it has read the list. Polls for as long as the process runs; a read that fails leaves the last list standing. */
export async function pollConsul(consul: string, service: string, everyMs: number): Promise<Resolver> {
  const read = async (): Promise<string[]> => {
    const response = await fetch(`${consul}/v1/health/service/${service}?passing`);
    if (!response.ok) throw new Error(`Consul answered ${response.status}`);
    const entries: { Service: { Address: string; Port: number } }[] = await response.json();
    return entries.map(({ Service }) => `http://${Service.Address}:${Service.Port}`);
  };
  const resolver = createStaticResolver(await read());
  setInterval(() => {
    read().then(resolver.update, () => {});
  }, everyMs);
  return resolver;
}
