// The Worker of these tests: each request says where servers are, what is called and how often; the answer tells what became
// of it. One snapshot cache at module scope, one transport a request, as lictor's users have it.

import { Code, ConnectError, createClient } from "@connectrpc/connect";
import {
  createEdgeTransport,
  createHelloClient,
  createSnapshotCache,
  createWatchObjectSource,
  type DiscoveryState,
  type EdgeTransportOptions,
  parseSnapshot,
  type SnapshotSource,
  serviceWatchObject,
  type WatchObjectClass,
  type WatchObjectStub,
} from "../../src/edge.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";

/** What a test binds. */
export interface Env {
  /** Address of Consul. */
  readonly CONSUL?: string;
  /** Token of Consul. */
  readonly TOKEN?: string;
  /** Options of the transport that are plain data, over the query's. */
  readonly OPTIONS?: Partial<EdgeTransportOptions>;
  /** URL of a signed snapshot, and the HMAC key of its signature. */
  readonly SIGNED?: { readonly url: string; readonly key: string };
  readonly SNAPSHOTS?: { get(key: string): Promise<string | null> };
  readonly WATCH?: { getByName(name: string): WatchObjectStub };
  /** Options of the watch that are plain data. */
  readonly WATCH_OPTIONS?: { readonly idleMs?: number; readonly waitTimeoutMs?: number };
}

/** How one call ended. */
export interface CallReport {
  /** The `server` of the answer, or HelloService's message. */
  readonly server?: string;
  /** How many messages came. */
  readonly messages: number;
  readonly error?: {
    readonly code: string;
    readonly message: string;
    readonly metadata: Readonly<Record<string, string>>;
  };
  readonly header?: string | null;
  readonly trailer?: string | null;
  readonly tookMs: number;
}

/** What the Worker answers. */
export interface WorkerReport {
  readonly calls: readonly CallReport[];
  readonly discovery: {
    readonly urls: readonly string[];
    readonly ageMs: number | null;
    readonly stale: boolean;
    readonly lastError: string | null;
  };
  /** Promises that `waitUntil` was given. */
  readonly waited: number;
}

interface ExecutionContext {
  waitUntil(promise: Promise<unknown>): void;
}

const cache = createSnapshotCache();

export const ServiceWatch: WatchObjectClass<Env> = serviceWatchObject<Env>(
  ({ CONSUL = "", TOKEN = "", WATCH_OPTIONS = {} }, name) => ({
    ...WATCH_OPTIONS,
    // Any number of objects may watch one service: "Echo" and "Echo#2".
    service: name.replace(/#.*/, ""),
    consul: { address: CONSUL, token: TOKEN },
  }),
);

// biome-ignore lint/style/noDefaultExport: workerd calls the default export
export default {
  async fetch(request: Request, env: Env, context: ExecutionContext): Promise<Response> {
    const { searchParams: query, pathname } = new URL(request.url);
    let waited = 0;
    const options: EdgeTransportOptions = {
      cache,
      waitUntil: (refresh) => {
        waited++;
        context.waitUntil(refresh);
      },
      ...(query.get("protocol") === "grpc-web" && { protocol: "grpc-web" }),
      ...(query.has("json") && { useBinaryFormat: false }),
      ...(query.has("get") && { useHttpGet: true }),
      ...whereabouts(query, env),
      ...env.OPTIONS,
    };
    const number = (name: string, fallback = 0) => Number(query.get(name) ?? fallback);
    const { call, discovery } =
      pathname === "/hello" ? helloCall(options) : echoCall(pathname.slice(1), query, options);
    const calls: CallReport[] = [];
    for (let round = 0; round < number("times", 1); round++) {
      calls.push(...(await Promise.all(Array.from({ length: number("parallel", 1) }, () => timed(call)))));
    }
    const { endpoints, ageMs, stale, lastError } = discovery();
    const report: WorkerReport = {
      calls,
      discovery: {
        urls: endpoints.map(({ url }) => url),
        ageMs: ageMs ?? null,
        stale,
        lastError: lastError === undefined ? null : String(lastError),
      },
      waited,
    };
    return Response.json(report);
  },
};

/** Which of the ways to servers the query asks for. */
function whereabouts(query: URLSearchParams, env: Env): Partial<EdgeTransportOptions> {
  const service = query.get("service") ?? "HelloService";
  switch (query.get("from")) {
    case "consul":
      return { service, consul: { address: env.CONSUL ?? "", token: env.TOKEN ?? "" } };
    case "kv":
      return { source: createKvSource(env, service) };
    case "signed":
      return { source: createSignedSource(env) };
    case "object":
      if (env.WATCH === undefined) throw new TypeError("no binding WATCH");
      return { source: createWatchObjectSource(env.WATCH.getByName(query.get("object") ?? service)) };
    default:
      return {};
  }
}

function createKvSource({ SNAPSHOTS: store }: Env, key: string): SnapshotSource {
  return {
    description: `key ${key} of KV`,
    // Made anew in every request: the cache knows it by this.
    identity: `kv ${key}`,
    async read() {
      const text = await store?.get(key);
      if (!text) throw new Error(`no key ${key}`);
      return parseSnapshot(JSON.parse(text));
    },
  };
}

/** `{snapshot, signature}`: the snapshot as text, and its HMAC-SHA-256 in hexadecimal. */
function createSignedSource({ SIGNED }: Env): SnapshotSource {
  const { url, key } = SIGNED ?? { url: "", key: "" };
  return {
    description: `the signed snapshot at ${url}`,
    identity: `signed ${url}`,
    async read(signal) {
      const response = await fetch(url, { signal });
      const { snapshot, signature }: { snapshot: string; signature: string } = await response.json();
      const bytes = new TextEncoder().encode(snapshot);
      const algorithm = { name: "HMAC", hash: "SHA-256" };
      const hmacKey = await crypto.subtle.importKey("raw", new TextEncoder().encode(key), algorithm, false, ["verify"]);
      const pairs = signature.match(/../g) ?? [];
      const isGenuine = await crypto.subtle.verify(
        "HMAC",
        hmacKey,
        Uint8Array.from(pairs, (pair) => Number.parseInt(pair, 16)),
        bytes,
      );
      if (!isGenuine) throw new Error("the signature is wrong");
      return parseSnapshot(JSON.parse(snapshot));
    },
  };
}

type Call = () => Promise<Omit<CallReport, "error" | "tookMs">>;

interface Callee {
  readonly call: Call;
  readonly discovery: () => DiscoveryState;
}

function helloCall(options: EdgeTransportOptions): Callee {
  const client = createHelloClient(options);
  return {
    call: async () => ({ server: (await client.sayHello({ name: "edge", num1: 1, num2: 2 })).message, messages: 1 }),
    discovery: () => client.discovery(),
  };
}

function echoCall(method: string, query: URLSearchParams, options: EdgeTransportOptions): Callee {
  const transport = createEdgeTransport(options);
  const client = createClient(EchoService, transport);
  const number = (name: string) => Number(query.get(name) ?? 0);
  const text = query.get("text") ?? "";
  const request = { text, delayMs: number("delayMs"), failCode: number("failCode"), count: number("count") };
  const call: Call = async () => {
    const controller = new AbortController();
    let header: string | null = null;
    let trailer: string | null = null;
    const callOptions = {
      signal: controller.signal,
      headers: { "x-echo": text },
      onHeader: (headers: Headers) => {
        header = headers.get("x-echo-header");
      },
      onTrailer: (trailers: Headers) => {
        trailer = trailers.get("x-echo-trailer");
      },
      ...(query.has("timeoutMs") && { timeoutMs: number("timeoutMs") }),
    };
    const abortAfterMs = number("abortAfterMs");
    if (abortAfterMs > 0) setTimeout(() => controller.abort(), abortAfterMs);
    switch (method) {
      case "unary": {
        const { server } = await client.unary(request, callOptions);
        return { server, messages: 1, header, trailer };
      }
      case "idempotent":
        return { server: (await client.unaryIdempotent(request, callOptions)).server, messages: 1 };
      case "stream": {
        let messages = 0;
        let server = "";
        const abortAfter = number("abortAfter");
        try {
          for await (const message of client.serverStream(request, callOptions)) {
            messages++;
            server = message.server;
            if (messages === abortAfter) controller.abort();
          }
        } catch (error) {
          throw Object.assign(ConnectError.from(error), { messages });
        }
        return { server, messages };
      }
      default:
        throw new TypeError(`no method ${method}`);
    }
  };
  return { call, discovery: () => transport.discovery() };
}

async function timed(call: Call): Promise<CallReport> {
  const startMs = Date.now();
  try {
    return { ...(await call()), tookMs: Date.now() - startMs };
  } catch (thrown) {
    const error = ConnectError.from(thrown);
    return {
      messages: Number(Reflect.get(error, "messages") ?? 0),
      error: {
        code: Code[error.code],
        message: error.rawMessage,
        metadata: Object.fromEntries(error.metadata),
      },
      tookMs: Date.now() - startMs,
    };
  }
}
