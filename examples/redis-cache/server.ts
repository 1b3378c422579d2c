// Serves the cache until a signal ends it. Reads REDIS_URL, HOST, PORT and Consul's own variables.

import process from "node:process";
import { closeOnSignal, consulFromEnv } from "lictor";
import { serveCache } from "./cache-server.ts";

const cache = serveCache({
  redisUrl: process.env.REDIS_URL ?? "redis://127.0.0.1:6379",
  consul: consulFromEnv(process.env),
  host: process.env.HOST ?? "127.0.0.1",
  port: Number(process.env.PORT ?? 50051),
  onRedisError: (error) => console.error(`Redis: ${error.message || error.name}`),
});
closeOnSignal(cache);

const { host, port } = await cache.server.ready;
console.log(`ready ${host}:${port}`);
