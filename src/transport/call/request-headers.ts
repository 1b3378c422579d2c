// The headers of a request that interceptors look at and add to. As long as names and values are plain they are a plain object, which
// connections take as it is; real Headers, which cost more than the call, are made for everything else.

import { Code, ConnectError } from "@connectrpc/connect";
import { reasonOf } from "../../core/error-text.ts";
import { passForHeaders } from "../../core/headers-like.ts";

/** Passes for Headers (see `passForHeaders`). */
class RequestHeaders {
  /** By names in lower case; undefined once there are real ones. */
  values: Record<string, string> | undefined;
  real: Headers | undefined;

  constructor(init: HeadersInit | undefined) {
    this.values = plainValues(init);
    this.real = this.values === undefined ? new Headers(init) : undefined;
  }

  get(name: string): string | null {
    const plain = this.values && plainName(name);
    if (plain === undefined || this.values === undefined) return realOf(this).get(name);
    return (Object.hasOwn(this.values, plain) ? this.values[plain] : undefined) ?? null;
  }

  has(name: string): boolean {
    const plain = this.values && plainName(name);
    if (plain === undefined || this.values === undefined) return realOf(this).has(name);
    return Object.hasOwn(this.values, plain);
  }

  set(name: string, value: string): void {
    const plain = this.values && plainName(name);
    if (plain === undefined || this.values === undefined || !isPlainValue(value)) realOf(this).set(name, value);
    else this.values[plain] = value;
  }

  append(name: string, value: string): void {
    const plain = this.values && plainName(name);
    if (plain === undefined || this.values === undefined || !isPlainValue(value) || Object.hasOwn(this.values, plain)) {
      realOf(this).append(name, value);
    } else {
      this.values[plain] = value;
    }
  }
}

function realOf(headers: RequestHeaders): Headers {
  headers.real ??= new Headers(headers.values);
  headers.values = undefined;
  return headers.real;
}

passForHeaders(RequestHeaders.prototype, realOf);

/** Headers of `init`, which is copied. Throws ConnectError, `invalid_argument`, for what no Headers are made of. */
export function requestHeaders(init: HeadersInit | undefined): Headers {
  try {
    return new RequestHeaders(init) as unknown as Headers;
  } catch (error) {
    throw new ConnectError(reasonOf(error), Code.InvalidArgument, undefined, undefined, error);
  }
}

/** The same headers as a connection takes them soonest. To be read at once: it changes with them. */
export function headersInit(headers: Headers): HeadersInit {
  return headers instanceof RequestHeaders ? (headers.values ?? realOf(headers)) : headers;
}

function plainValues(init: HeadersInit | undefined): Record<string, string> | undefined {
  const values: Record<string, string> = {};
  if (init === undefined) return values;
  if (init === null || typeof init !== "object" || Symbol.iterator in init) return undefined;
  for (const name of Object.keys(init)) {
    const value = init[name];
    const plain = plainName(name);
    // Two spellings of a name are joined, by those who know how.
    if (plain === undefined || !isPlainValue(value) || Object.hasOwn(values, plain)) return undefined;
    values[plain] = value;
  }
  return values;
}

/** The name in lower case, of letters, digits and hyphens; undefined for any other, right or wrong. */
function plainName(name: unknown): string | undefined {
  if (typeof name !== "string" || name.length === 0) return undefined;
  let isLower = true;
  for (let at = 0; at < name.length; at++) {
    const code = name.charCodeAt(at);
    if ((code >= 97 && code <= 122) || code === 45 || (code >= 48 && code <= 57)) continue;
    if (code < 65 || code > 90) return undefined;
    isLower = false;
  }
  return isLower ? name : name.toLowerCase();
}

/** Printable ASCII that begins and ends with no space: what Headers leave as it is. */
function isPlainValue(value: unknown): value is string {
  if (typeof value !== "string") return false;
  const last = value.length - 1;
  for (let at = 0; at <= last; at++) {
    const code = value.charCodeAt(at);
    if (code < 32 || code > 126 || (code === 32 && (at === 0 || at === last))) return false;
  }
  return true;
}
