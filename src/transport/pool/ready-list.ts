// The endpoints whose connections are ready, sorted by id: lists that never change, made from one another. Knows no connections.

import type { Endpoint } from "../../core/endpoint.ts";

/** The endpoints in the order in which balancers get them. */
export function sortById(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  return endpoints.toSorted((a, b) => (a.id < b.id ? -1 : 1));
}

/** The list with `endpoint`; the same list where it is in already. */
export function withEndpoint(list: readonly Endpoint[], endpoint: Endpoint): readonly Endpoint[] {
  const index = placeOf(list, endpoint.id);
  const found = list[index];
  if (found === endpoint) return list;
  return list.toSpliced(index, found?.id === endpoint.id ? 1 : 0, endpoint);
}

/** The list without the endpoint of this id; the same list where it is not in. */
export function withoutEndpoint(list: readonly Endpoint[], id: string): readonly Endpoint[] {
  const index = placeOf(list, id);
  return list[index]?.id === id ? list.toSpliced(index, 1) : list;
}

/** Where `id` is, or would be. */
function placeOf(list: readonly Endpoint[], id: string): number {
  let [from, to] = [0, list.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if ((list[middle]?.id ?? "") < id) from = middle + 1;
    else to = middle;
  }
  return from;
}
