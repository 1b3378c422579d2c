// Headers that are made when somebody looks at them. Most calls' are never looked at, and a Headers costs as much as the rest of a call.

import { toHeaders } from "./metadata.ts";

/**
 * Passes for Headers (`instanceof` included, `new Headers(it)` too): its prototype's prototype is that of Headers, and everything
 * that one has is passed on to real Headers, made at the first use. An object of ours, and not accessors on the answer, as an object with
 * accessors of its own costs 40-370 ns to make and this one 10 (Bun 1.4.5, Node 24.21, Deno 2.9.6).
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

// All of it, whatever a runtime adds to the standard (`count`, `toJSON`, how it prints).
for (const key of Reflect.ownKeys(Headers.prototype)) {
  if (key === "constructor") continue;
  const descriptor = Object.getOwnPropertyDescriptor(Headers.prototype, key);
  if (descriptor === undefined) continue;
  const { value, get } = descriptor;
  if (typeof value === "function") {
    descriptor.value = function (this: LazyHeaders, ...args: unknown[]): unknown {
      return Reflect.apply(value, realOf(this), args);
    };
  } else if (get !== undefined) {
    descriptor.get = function (this: LazyHeaders): unknown {
      return Reflect.apply(get, realOf(this), []);
    };
  } else {
    continue;
  }
  Object.defineProperty(LazyHeaders.prototype, key, descriptor);
}
Object.setPrototypeOf(LazyHeaders.prototype, Headers.prototype);

/** Headers of these fields (see `toHeaders`), which must not change afterwards. */
export function lazyHeaders(fields: readonly string[]): Headers {
  return new LazyHeaders(fields) as unknown as Headers;
}
