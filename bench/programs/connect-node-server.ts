// Row connect-node, server: connectNodeAdapter on node:http2.

import http2 from "node:http2";
import type { AddressInfo } from "node:net";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { addRoutes } from "./connect-routes.ts";
import { runServer } from "./protocol.ts";

await runServer(async () => {
  let port = 0;
  const server = http2.createServer(connectNodeAdapter({ routes: (router) => addRoutes(router, () => port) }));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  port = (server.address() as AddressInfo).port;
  return port;
});
