// Puts the cache, Redis and Consul together, and takes them apart in the right order.

import {
  type ConsulClientOptions,
  type HealthReport,
  type ServeOptions,
  type Server,
  type ServiceOptions,
  serve,
} from "lictor";
import { createCache } from "./cache.ts";
import { CacheService } from "./gen/example/cache/v1/cache_pb.ts";
import { connectRedis, disconnectRedis, pingRedis } from "./redis.ts";

export interface CacheServerOptions extends Pick<ServeOptions, "host" | "port" | "drainMarginMs"> {
  readonly redisUrl: string;
  readonly consul: ConsulClientOptions | string;
  /** How Consul learns of us. Default: heartbeats every 5 s. */
  readonly check?: NonNullable<ServiceOptions["check"]>;
  /** A Redis that takes this long to answer a PING, in milliseconds, is worth a warning. Default 100. */
  readonly slowMs?: number;
  /** Told when Redis is lost, and at every attempt that fails. */
  readonly onRedisError?: (error: Error) => void;
}

export interface CacheServer {
  readonly server: Server;
  /** Leaves Consul, finishes the calls under way, and lets go of Redis when nobody needs it any more. */
  close(): Promise<void>;
}

export function serveCache(options: CacheServerOptions): CacheServer {
  const { redisUrl, consul, check, slowMs = 100, onRedisError, ...where } = options;
  const redis = connectRedis(redisUrl, onRedisError);

  /** Asked before every heartbeat. Without Redis we are no use: Consul's check turns critical, and clients go elsewhere. */
  const health = async (): Promise<HealthReport> => {
    const startedMs = performance.now();
    try {
      await pingRedis(redis);
      server.health.setStatus(CacheService.typeName, "SERVING");
    } catch (error) {
      server.health.setStatus(CacheService.typeName, "NOT_SERVING");
      throw error;
    }
    const tookMs = Math.round(performance.now() - startedMs);
    return { status: tookMs < slowMs ? "pass" : "warn", note: `Redis answered within ${tookMs} ms` };
  };

  const server = serve({
    routes: createCache(redis),
    ...where,
    consul,
    service: { name: "Cache", health, ...(check && { check }) },
  });
  return {
    server,
    async close() {
      await server.close();
      await disconnectRedis(redis);
    },
  };
}
