// A server of CatalogService with reflection, without Consul. Prints `ready HOST:PORT`; a signal ends it.

import { closeOnSignal } from "../../src/runtime/close-on-signal.ts";
import { serve } from "../../src/server/serve.ts";
import { catalogService } from "./catalog-service.ts";

const server = serve({ routes: catalogService, reflection: true });
closeOnSignal(server);
const { host, port } = await server.ready;
console.log(`ready ${host}:${port}`);
