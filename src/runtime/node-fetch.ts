// A small fetch over node:http and node:https, for what the runtimes' own fetch cannot be told in one way: an own CA, client
// certificates, unix sockets. Follows no redirects, decodes no compression, knows no cookies, caches or proxies; reads
// whole answers before it resolves. Not a general fetch: the Consul client's only.

import { Agent, type ClientRequest, type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps, Agent as TlsAgent } from "node:https";
import type { ConsulFetch } from "../consul/consul-client.ts";

/** Where requests go, and how their TLS is done. */
export interface NodeFetchOptions {
  /** Path of a unix socket that takes every request, whatever host the URL names. */
  readonly socketPath?: string;
  /** Certificate authorities to trust, in PEM, in place of the runtime's own. */
  readonly ca?: string | readonly string[];
  /** Client certificate and what it hangs on, in PEM. Goes with `key`. */
  readonly cert?: string;
  /** Private key of `cert`, in PEM. */
  readonly key?: string;
  /** Name to ask for and to find in the server's certificate. Default: the URL's host. */
  readonly serverName?: string;
  /** Whether a certificate that cannot be verified is refused. Default true. */
  readonly verify?: boolean;
}

/**
 * Creates a fetch. A function as `options` is asked before every request: what it gives is used for that one and the next, and where it gives
 * another object than before, connections are opened anew, and those that carry a request serve it to its end. Understands `method`, `headers`, `signal` and a `body` of text or bytes; rejects with TypeError on another
 * body, with `signal.reason` on an abort, with what the socket said on a failure.
 */
export function createNodeFetch(options: NodeFetchOptions | (() => NodeFetchOptions) = {}): ConsulFetch {
  const settingsNow = typeof options === "function" ? options : () => options;
  let known: NodeFetchOptions | undefined;
  let way: Way | undefined;
  const wayNow = (): Way => {
    const now = settingsNow();
    if (way === undefined || now !== known) {
      way?.retire();
      known = now;
      way = openWay(now);
    }
    return way;
  };

  return async (url, init) => {
    const { signal } = init;
    const body = bodyOf(init.body);
    signal?.throwIfAborted();
    const { socket, tls, agent, tlsAgent } = wayNow();
    const settings = { method: init.method ?? "GET", headers: headersOf(init, body), ...socket };
    return await new Promise<Response>((resolve, reject) => {
      const request: ClientRequest = url.startsWith("https:")
        ? requestHttps(url, { ...settings, ...tls, agent: tlsAgent })
        : requestHttp(url, { ...settings, agent });
      const finish = () => signal?.removeEventListener("abort", onAbort);
      const fail = (error: unknown) => {
        finish();
        reject(error);
      };
      const onAbort = () => {
        fail(signal?.reason);
        request.destroy();
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      request.on("error", fail);
      request.on("response", (message) => {
        readWhole(message)
          .then((bytes) => {
            // Throws for a status that fetch does not know.
            const response = toResponse(message, bytes);
            finish();
            resolve(response);
          })
          .catch(fail);
      });
      request.on("upgrade", (_message, socket) => {
        socket.destroy();
        fail(new Error("the server switched protocols unasked"));
      });
      request.end(body);
    });
  };
}

/** The connections of one set of options. */
interface Way {
  readonly socket: { readonly socketPath?: string };
  readonly tls: TlsSettings;
  readonly agent: Agent;
  readonly tlsAgent: TlsAgent;
  /** Lets go of the connections that idle; the others end with their requests. */
  retire(): void;
}

interface TlsSettings {
  readonly ca?: string | string[];
  readonly cert?: string;
  readonly key?: string;
  readonly servername?: string;
  readonly rejectUnauthorized: boolean;
}

function openWay({ socketPath, ca, cert, key, serverName, verify = true }: NodeFetchOptions): Way {
  const socket = socketPath === undefined ? {} : { socketPath };
  const tls: TlsSettings = {
    ...(ca === undefined ? {} : { ca: typeof ca === "string" ? ca : [...ca] }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(serverName === undefined ? {} : { servername: serverName }),
    rejectUnauthorized: verify,
  };
  // Connections are kept between requests, and let the process end while they idle.
  const agent = new Agent({ keepAlive: true, maxFreeSockets: 2, ...socket });
  const tlsAgent = new TlsAgent({ keepAlive: true, maxFreeSockets: 2, ...socket, ...tls });
  return {
    socket,
    tls,
    agent,
    tlsAgent,
    retire() {
      for (const retired of [agent, tlsAgent]) {
        retired.maxFreeSockets = 0;
        for (const idle of Object.values(retired.freeSockets)) {
          for (const one of idle ?? []) one.destroy();
        }
      }
    },
  };
}

function bodyOf(body: RequestInit["body"]): string | Uint8Array | undefined {
  if (body === undefined || body === null) return undefined;
  if (typeof body === "string" || body instanceof Uint8Array) return body;
  throw new TypeError("Cannot send a request as its body must be text or bytes");
}

function headersOf(init: RequestInit, body: string | Uint8Array | undefined): Record<string, string> {
  const headers = new Headers(init.headers);
  // Stated, so that the body is not sent in chunks: Consul ignores a chunked body at some endpoints.
  const length = typeof body === "string" ? new TextEncoder().encode(body).length : (body?.length ?? 0);
  if (init.method !== undefined && init.method !== "GET") headers.set("Content-Length", String(length));
  return Object.fromEntries(headers);
}

function readWhole(message: IncomingMessage): Promise<Uint8Array<ArrayBuffer>> {
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = [];
    message.on("data", (chunk: Uint8Array) => chunks.push(chunk));
    message.on("error", reject);
    // Without "end" before it, the connection was lost within the body.
    message.on("close", () => reject(new Error("the connection was closed within the answer")));
    message.on("end", () => {
      const whole = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
      let at = 0;
      for (const chunk of chunks) {
        whole.set(chunk, at);
        at += chunk.length;
      }
      resolve(whole);
    });
  });
}

function toResponse(message: IncomingMessage, bytes: Uint8Array<ArrayBuffer>): Response {
  const headers = new Headers();
  for (let at = 0; at + 1 < message.rawHeaders.length; at += 2) {
    headers.append(message.rawHeaders[at] ?? "", message.rawHeaders[at + 1] ?? "");
  }
  const status = message.statusCode ?? 0;
  // Response refuses a body where HTTP has none (RFC 9110, sections 15.3.5 and 15.4.5).
  const isBodiless = status === 204 || status === 205 || status === 304;
  return new Response(isBodiless ? null : bytes, { status, headers });
}
