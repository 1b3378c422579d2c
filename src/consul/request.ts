// The one place that sends requests to Consul: headers, common parameters, the time limit, and what becomes of a failure.
// Never retries but for a token that was replaced meanwhile, never follows redirects, never lets a secret into an error.

import { reasonOf } from "../core/error-text.ts";
import type { AgentOptions } from "./client-options.ts";
import { ConsulError } from "./consul-error.ts";
import { basicAuthorization } from "./credentials.ts";
import { exchange, type Outcome } from "./exchange.ts";
import type { RequestOptions } from "./query.ts";
import { createFailure } from "./request-failure.ts";
import { readRetryAfter } from "./retry-after.ts";
import { type TokenLimits, tokenWithin } from "./token-within.ts";

/** One request. */
export interface ConsulRequest {
  /** Completes "Cannot ...": `register a service`. */
  readonly action: string;
  readonly method: "GET" | "PUT" | "DELETE";
  /** Escaped already, from `/v1/` on. */
  readonly path: string;
  /** Parameters in their order; undefined and false are left out, true is sent without a value, a list is repeated. A `dc` here replaces the client's. */
  readonly query?: Readonly<Record<string, string | boolean | readonly string[] | undefined>>;
  /** Text is JSON, bytes are bytes. Never a stream: some endpoints ignore a chunked body (measured on Consul 1.8.7). */
  readonly body?: string | Uint8Array;
  readonly options?: RequestOptions | undefined;
  /** Time limit where the options name none. Default: the client's. */
  readonly defaultTimeoutMs?: number;
  /** Where the request blocks on an index: the address of the agent that gave it, as far as the caller knows. */
  readonly waitsOn?: { readonly indexAgent: string | undefined };
  /** Which statuses beside 200 are answers. */
  readonly isAnswer?: (status: number, headers: Headers, text: string) => boolean;
}

/** What Consul answered. */
export interface ConsulAnswer {
  /** Address of the agent that answered, without credentials. */
  readonly agent: string;
  /** Whether a token went with the request. */
  readonly hadToken: boolean;
  readonly status: number;
  readonly headers: Headers;
  /** Reads the body as JSON of a certain shape. Throws ConsulError with code `decode` when it is not. */
  json<T>(isShape: (value: unknown) => value is T): T;
}

/**
 * Sends one request and resolves with its answer. Rejects with ConsulError, with what the token function throws, or with the
 * reason of an aborted signal.
 */
export type SendRequest = (request: ConsulRequest) => Promise<ConsulAnswer>;

/** Creates what sends requests to one agent. Warns at once if a fixed token or a password would cross a network in clear, else at the first request that has a token. */
export function createRequester(client: AgentOptions): SendRequest {
  let warned = !client.exposed;
  const warnOnce = () => {
    if (warned) return;
    warned = true;
    client.logger.warn(
      "Consul credentials cross the network in clear: use https, a unix socket or an agent on this host",
      {
        consul: client.address,
      },
    );
  };
  if (client.hasFixedToken || client.basicAuth !== undefined) warnOnce();

  const sendOnce = async (
    request: ConsulRequest,
    token: string | undefined,
    limits: TokenLimits,
  ): Promise<ConsulAnswer> => {
    const { signal, timeoutMs } = limits;
    // Last before anything is sent: an abort that came earlier fires no event any more.
    signal?.throwIfAborted();
    if (token !== undefined) warnOnce();
    const headers = requestHeaders(client, token);
    if (typeof request.body === "string") headers.set("Content-Type", "application/json");
    const path = request.path + queryString(client, request.query);
    const init: RequestInit = {
      method: request.method,
      headers,
      // A redirect may lead to another host, and not every runtime strips X-Consul-Token on the way. Consul's API redirects
      // only paths it would not serve. "error" would hide where to, and is not known on every runtime.
      redirect: "manual",
      ...(request.body === undefined ? {} : { body: ownBytes(request.body) }),
    };

    const fail = createFailure(client, request, path, token);
    const outcome: Outcome = await exchange(client.fetch, client.baseUrl + path, init, limits);
    switch (outcome.type) {
      case "aborted":
        throw signal?.reason;
      case "timeout":
        throw fail("timeout", `gave no answer within ${Math.round(timeoutMs)} ms`);
      case "failed":
        throw fail("network", `failed: ${reasonOf(outcome.error)}`, { cause: outcome.error });
      case "answered":
        break;
    }
    const { status, headers: answerHeaders, text } = outcome;
    if (status !== 200 && request.isAnswer?.(status, answerHeaders, text) !== true) {
      throw fail("http", `answered ${status}`, {
        status,
        text,
        location: answerHeaders.get("Location"),
        retryAfterMs: readRetryAfter(answerHeaders),
      });
    }
    return {
      agent: client.address,
      hadToken: token !== undefined,
      status,
      headers: answerHeaders,
      json(isShape) {
        const details = { status, text };
        let value: unknown;
        try {
          value = JSON.parse(text);
        } catch {
          // The parser's own error quotes pieces of the text, cut anywhere: it could not be scrubbed.
          throw fail("decode", `answered ${status} with what is not JSON`, details);
        }
        if (!isShape(value)) throw fail("decode", `answered ${status} with JSON of another shape`, details);
        return value;
      },
    };
  };

  return async (request) => {
    const { signal, timeoutMs = request.defaultTimeoutMs ?? client.timeoutMs } = request.options ?? {};
    if (!(timeoutMs > 0)) {
      throw new RangeError(`Cannot ${request.action} as "timeoutMs" must be > 0: received ${timeoutMs}`);
    }
    const limits: TokenLimits = { clock: client.clock, timeoutMs, signal };
    const ask = () => tokenWithin(client.token, request.action, limits);
    const first = ask();
    const token = first instanceof Promise ? await first : first;
    try {
      return await sendOnce(request, token, limits);
    } catch (error) {
      // A token that was replaced while the request was on its way. Consul looks at rights before it does anything.
      if (client.hasFixedToken || !(error instanceof ConsulError) || error.status !== 403) throw error;
      const next = await ask();
      if (next === token) throw error;
      return await sendOnce(request, next, limits);
    }
  };
}

function requestHeaders(client: AgentOptions, token: string | undefined): Headers {
  const headers = new Headers(client.headers);
  if (client.basicAuth !== undefined) headers.set("Authorization", basicAuthorization(client.basicAuth));
  if (token !== undefined) headers.set("X-Consul-Token", token);
  return headers;
}

function queryString(client: AgentOptions, query: ConsulRequest["query"] = {}): string {
  const { datacenter, namespace: ns, partition } = client;
  const all: NonNullable<ConsulRequest["query"]> = { ...query, dc: query.dc ?? datacenter, ns, partition };
  const parts = Object.entries(all).flatMap(([name, value]) => {
    if (value === undefined || value === false) return [];
    if (value === true) return [name];
    const texts = typeof value === "string" ? [value] : value;
    // Free text may be cut inside a character; that is no reason to fail.
    return texts.map((text) => `${name}=${encodeURIComponent(text.toWellFormed())}`);
  });
  return parts.length === 0 ? "" : `?${parts.join("&")}`;
}

/** fetch takes no bytes in shared memory. */
function ownBytes(body: string | Uint8Array): string | Uint8Array<ArrayBuffer> {
  return typeof body === "string" ? body : new Uint8Array(body);
}
