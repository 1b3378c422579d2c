// Row lictor, server: serve(), without Consul. `--http2 NAME` is handed on as it is: serve() refuses what it does not know.

import { type ServeOptions, serve } from "../../src/index.ts";
import { addRoutes } from "./connect-routes.ts";
import { runServer } from "./protocol.ts";

await runServer(async ({ http2 }) => {
  let port = 0;
  const options: ServeOptions = { routes: (router) => addRoutes(router, () => port) };
  const server = serve(http2 === undefined ? options : { ...options, http2: http2 as "lictor" | "node" });
  port = (await server.ready).port;
  return port;
});
