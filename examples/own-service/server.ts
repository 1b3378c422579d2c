// Serves ThermometerService and keeps it registered in Consul until a signal ends it. Reads PORT and Consul's own variables.

import process from "node:process";
import { closeOnSignal, consulFromEnv, serve } from "../../src/index.ts";
import { thermometer } from "./thermometer.ts";

const server = serve({
  routes: thermometer,
  port: Number(process.env.PORT ?? 0),
  consul: consulFromEnv(process.env),
  service: { name: "thermometer", tags: ["v1"], meta: { unit: "celsius" } },
});
closeOnSignal(server);

const { host, port } = await server.ready;
console.log(`ready ${host}:${port}`);
