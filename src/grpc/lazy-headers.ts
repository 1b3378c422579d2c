// Headers that are made when somebody looks at them. Most calls' are never looked at, and a Headers costs as much as the rest of a call.

import { passForHeaders } from "../core/headers-like.ts";
import { toHeaders } from "./metadata.ts";

/**
 * Passes for Headers (see `passForHeaders`). An object of ours, and not accessors on the answer, as an object with accessors of its own
 * costs 40-370 ns to make and this one 10 (Bun 1.4.5, Node 24.21, Deno 2.9.6).
 */
class LazyHeaders {
  fields: readonly string[];
  real: Headers | undefined;

  constructor(fields: readonly string[]) {
    this.fields = fields;
    this.real = undefined;
  }
}

function realOf(lazy: LazyHeaders): Headers {
  lazy.real ??= toHeaders(lazy.fields);
  return lazy.real;
}

passForHeaders(LazyHeaders.prototype, realOf);

/** Headers of these fields (see `toHeaders`), which must not change afterwards. */
export function lazyHeaders(fields: readonly string[]): Headers {
  return new LazyHeaders(fields) as unknown as Headers;
}
