// EchoService for the table: a user's server, announced in Consul as Echo and open to a page. Prints `ready HOST:PORT` once Consul
// has it; a signal ends it. Arguments: the agent's address, the name in its answers, the page's origin.

import process from "node:process";
import { closeOnSignal } from "../../src/runtime/close-on-signal.ts";
import { serve } from "../../src/server/serve.ts";
import { createEchoService } from "../support/echo-service.ts";

const [consul = "", name = "", origin = ""] = process.argv.slice(2);

const server = serve({
  routes: createEchoService({ server: name }),
  consul,
  service: "Echo",
  cors: [origin],
  drainMarginMs: 0,
});
closeOnSignal(server);
const { host, port } = await server.ready;
await server.registration?.registered;
console.log(`ready ${host}:${port}`);
