// Serves the page, and /endpoints.json: a browser cannot read Consul, so the page asks the server it came from.

import { readFile } from "node:fs/promises";
import { type ConsulClientOptions, type Server, serve } from "lictor";
import { createConsulSource } from "lictor/edge";

const files: Readonly<Record<string, readonly [path: string, type: string]>> = {
  "/": ["index.html", "text/html; charset=utf-8"],
  "/style.css": ["style.css", "text/css; charset=utf-8"],
  "/main.js": ["dist/main.js", "text/javascript; charset=utf-8"],
};

/** Starts the page's server on a port of the loopback, 0 for any. */
export function startPageServer(consul: ConsulClientOptions | string, port: number): Server {
  const source = createConsulSource({ consul, service: "CounterService" });
  return serve({
    port,
    routes() {},
    async fallback(request) {
      const { pathname } = new URL(request.url);
      if (pathname === "/endpoints.json") {
        try {
          return Response.json(await source.read(request.signal));
        } catch (error) {
          return new Response(String(error), { status: 503 });
        }
      }
      const [path, type] = files[pathname] ?? [];
      if (path === undefined || type === undefined) return new Response("Not Found", { status: 404 });
      return new Response(await readFile(new URL(path, import.meta.url)), { headers: { "content-type": type } });
    },
  });
}
