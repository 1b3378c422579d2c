// Runs the whole example in one process: the page's server and two instances of CounterService, over the agent at
// CONSUL_HTTP_ADDR, or over an embedded one. Ctrl-C ends it. Reads PORT, the page's port.

import process from "node:process";
import { closeOnSignal, consulFromEnv } from "lictor";
import { startEmbeddedConsul } from "lictor/testing";
import { startCounterServer } from "./counter-server.ts";
import { startPageServer } from "./page-server.ts";

const embedded = process.env.CONSUL_HTTP_ADDR === undefined ? await startEmbeddedConsul() : undefined;
const consul = embedded?.address ?? consulFromEnv(process.env);

const page = startPageServer(consul, Number(process.env.PORT ?? 8080));
const { url, port } = await page.ready;
// Two origins to a browser, though one address.
const origins = [url, `http://localhost:${port}`];
const counters = [startCounterServer(consul, origins), startCounterServer(consul, origins)];
closeOnSignal({
  async close() {
    await Promise.all([page, ...counters].map((server) => server.close()));
    await embedded?.close();
  },
});

await Promise.all(counters.map((server) => server.ready));
console.log(`ready ${url}`);
