// A user's server: EchoService, announced in Consul. Prints `ready HOST:PORT` once Consul has it; a signal ends it.
// Arguments: the agent's address, the service's name, the name in its answers, and the origin of pages that may call it, if any.

import process from "node:process";
import { closeOnSignal } from "../../src/runtime/close-on-signal.ts";
import { serve } from "../../src/server/serve.ts";
import { createEchoService } from "./echo-service.ts";

const [consul = "", service = "", name = "", origin] = process.argv.slice(2);

const server = serve({
  routes: createEchoService({ server: name }),
  consul,
  service,
  drainMarginMs: 0,
  ...(origin === undefined ? {} : { cors: [origin] }),
});
closeOnSignal(server);
const { host, port } = await server.ready;
await server.registration?.registered;
console.log(`ready ${host}:${port}`);
