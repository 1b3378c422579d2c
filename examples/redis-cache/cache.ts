// CacheService over Redis. Knows neither Consul nor sockets.

import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import { RESP_TYPES } from "@redis/client";
import { CacheService } from "./gen/example/cache/v1/cache_pb.ts";
import { answerOf, type Redis } from "./redis.ts";

/** Keys in Redis begin with this, so that others' are neither seen nor touched. */
const prefix = "cache:";

/** Creates the routes, to be given to `serve`. */
export function createCache(redis: Redis): (router: ConnectRouter) => void {
  // Values are bytes, not text.
  const bytes = redis.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  return (router) => {
    router.service(CacheService, {
      async get({ key }, { signal }) {
        const name = nameOf(key);
        const [value, ttlMs] = await answerOf(Promise.all([bytes.get(name), redis.pTTL(name)]), signal);
        // -2: gone since the first of the two.
        if (value === null || ttlMs === -2) {
          throw new ConnectError(`no value for key ${JSON.stringify(key)}`, Code.NotFound);
        }
        return { value, ...(ttlMs >= 0 && { ttl: durationFromMs(ttlMs) }) };
      },
      async set({ key, value, ttl }, { signal }) {
        const ttlMs = ttl && Math.ceil(durationMs(ttl));
        if (ttlMs !== undefined && ttlMs <= 0) throw new ConnectError("ttl must be more than 0", Code.InvalidArgument);
        const options = ttlMs === undefined ? {} : { expiration: { type: "PX" as const, value: ttlMs } };
        await answerOf(redis.set(nameOf(key), Buffer.from(value), options), signal);
        return {};
      },
      async delete({ key }, { signal }) {
        return { existed: (await answerOf(redis.del(nameOf(key)), signal)) > 0 };
      },
    });
  };
}

function nameOf(key: string): string {
  if (key === "") throw new ConnectError("a key is needed", Code.InvalidArgument);
  return prefix + key;
}
