// Serves ThermometerService and keeps it registered in Consul until a signal ends it. Reads HOST, PORT and Consul's own
// variables.

import process from "node:process";
import { closeOnSignal, consulFromEnv, serve } from "lictor";
import { thermometer } from "./thermometer.ts";

const server = serve({
  routes: thermometer,
  host: process.env.HOST ?? "127.0.0.1",
  port: Number(process.env.PORT ?? 0),
  consul: consulFromEnv(process.env),
  service: { name: "thermometer", tags: ["v1"], meta: { unit: "celsius" } },
  logger: console,
});
closeOnSignal(server, { logger: console });

const { host, port } = await server.ready;
console.log(`ready ${host}:${port}`);
