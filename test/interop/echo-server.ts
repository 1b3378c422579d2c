// EchoService as lictor serves it, for programs of others to call. Prints "ready HOST:PORT"; SIGTERM ends it.

import type { Interceptor } from "@connectrpc/connect";
import { closeOnSignal } from "../../src/runtime/close-on-signal.ts";
import { serve } from "../../src/server/serve.ts";
import { createEchoService } from "../support/echo-service.ts";
import { http2Kind } from "./http2-kind.ts";

/** Sends binary metadata back, as the service does with text. */
const echoBinary: Interceptor = (next) => async (request) => {
  const response = await next(request);
  const value = request.header.get("x-echo-bin");
  if (value !== null) response.header.set("x-echo-header-bin", value);
  return response;
};

const server = serve({
  routes: createEchoService(),
  interceptors: [echoBinary],
  graceMs: 1000,
  http2: http2Kind,
});
closeOnSignal(server);
const { host, port } = await server.ready;
console.log(`ready ${host}:${port}`);
