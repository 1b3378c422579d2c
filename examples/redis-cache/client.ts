// The cache from a shell: `node client.ts set KEY VALUE [SECONDS]`, `get KEY`, `delete KEY`. Reads Consul's own variables.

import process from "node:process";
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { ConnectError, createClient } from "@connectrpc/connect";
import { consulFromEnv, createConsulTransport } from "lictor";
import { CacheService } from "./gen/example/cache/v1/cache_pb.ts";

const [command, key = "", text = "", seconds] = process.argv.slice(2);
const transport = createConsulTransport({
  service: "Cache",
  consul: consulFromEnv(process.env),
  defaultTimeoutMs: 2000,
});
const cache = createClient(CacheService, transport);

try {
  switch (command) {
    case "set": {
      const ttl = seconds === undefined ? {} : { ttl: durationFromMs(Number(seconds) * 1000) };
      await cache.set({ key, value: new TextEncoder().encode(text), ...ttl });
      break;
    }
    case "get": {
      const { value, ttl } = await cache.get({ key });
      console.log(new TextDecoder().decode(value));
      if (ttl) console.error(`for ${Math.ceil(durationMs(ttl) / 1000)} s`);
      break;
    }
    case "delete":
      console.log((await cache.delete({ key })).existed ? "deleted" : "was not there");
      break;
    default:
      console.error("node client.ts set KEY VALUE [SECONDS] | get KEY | delete KEY");
      process.exitCode = 2;
  }
} catch (error) {
  console.error(ConnectError.from(error).message);
  process.exitCode = 1;
}
await transport.close();
