// A Worker that calls HelloService on servers it finds in Consul. GET /hello?name=you asks Consul itself, every few seconds;
// GET /live/hello?name=you asks a Durable Object that watches Consul, and knows of a change at once.

import { ConnectError } from "@connectrpc/connect";
import {
  createHelloClient,
  createSnapshotCache,
  createWatchObjectSource,
  type EdgeHelloClientOptions,
  serviceWatchObject,
} from "lictor/edge";

interface Env {
  readonly CONSUL_ADDRESS: string;
  /** A secret; left out where Consul has no ACLs. */
  readonly CONSUL_TOKEN?: string;
  readonly WATCH: DurableObjectNamespace;
}

// Outlives the request: plain data, shared by all requests of this isolate. Clients do not, and are made in the request.
const cache = createSnapshotCache();

/** The object of that name watches the service of that name. */
export const ServiceWatch = serviceWatchObject<Env>((env, name) => ({ service: name, consul: consulOf(env) }));

// biome-ignore lint/style/noDefaultExport: Cloudflare calls the default export
export default {
  async fetch(request, env, context): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    const whereabouts = whereaboutsFor(pathname, env);
    if (whereabouts === undefined) return new Response("Not found\n", { status: 404 });
    const hello = createHelloClient({
      ...whereabouts,
      cache,
      waitUntil: (refresh) => context.waitUntil(refresh),
      defaultTimeoutMs: 5000,
    });
    try {
      const { message } = await hello.sayHello({ name: searchParams.get("name") ?? "world" });
      const { ageMs, stale } = hello.discovery();
      return Response.json({ message, ageMs, stale });
    } catch (error) {
      // Its text says which of your servers were tried: for the log, not for strangers.
      console.error(error);
      return Response.json({ error: ConnectError.from(error).code }, { status: 502 });
    }
  },
} satisfies ExportedHandler<Env>;

function whereaboutsFor(pathname: string, env: Env): EdgeHelloClientOptions | undefined {
  switch (pathname) {
    case "/hello":
      return { consul: consulOf(env) };
    case "/live/hello":
      return { source: createWatchObjectSource(env.WATCH.getByName("HelloService")), maxAgeMs: 500 };
    default:
      return undefined;
  }
}

function consulOf({ CONSUL_ADDRESS, CONSUL_TOKEN = "" }: Env): { address: string; token: string } {
  return { address: CONSUL_ADDRESS, token: CONSUL_TOKEN };
}
