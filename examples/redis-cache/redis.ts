// The connection to Redis, and what its failures mean to callers of a service. Knows nothing of caches.

import { once } from "node:events";
import { Code, ConnectError } from "@connectrpc/connect";
import { createClient, ErrorReply } from "@redis/client";

/** Longest wait for an answer, in milliseconds. */
const answerWithinMs = 1000;

export type Redis = ReturnType<typeof connectRedis>;

/**
 * Connects, and connects again whenever the connection is lost. While there is none, commands fail at once: a cache that
 * makes its callers wait is worse than none.
 */
export function connectRedis(url: string, onError: (error: Error) => void = () => {}) {
  const client = createClient({
    url,
    disableOfflineQueue: true,
    // One that says nothing for 3 s is given up: PINGs keep a working connection from being silent.
    pingInterval: 1000,
    socket: {
      connectTimeout: answerWithinMs,
      socketTimeout: 3000,
      reconnectStrategy: (tries) => Math.min(tries * 100, 1000),
    },
  });
  client.on("error", onError);
  // Tries until it has a connection or is closed; what goes wrong meanwhile is told to `onError`.
  client.connect().catch(() => {});
  return client;
}

/** Resolves when Redis has answered a PING, or when a connection that is being made is there. Rejects as `answerOf` does. */
export async function pingRedis(redis: Redis): Promise<void> {
  if (redis.isReady) await answerOf(redis.ping());
  else await answerOf(once(redis, "ready", { signal: AbortSignal.timeout(answerWithinMs) }));
}

/** Ends the connection, after the commands that are under way where there is one. */
export async function disconnectRedis(redis: Redis): Promise<void> {
  if (redis.isReady) await redis.close();
  else if (redis.isOpen) redis.destroy();
}

/** Waits for a command as long as the signal lets it, and a second at most; failures become errors that callers can act on. */
export async function answerOf<T>(command: Promise<T>, signal?: AbortSignal): Promise<T> {
  const limit = AbortSignal.timeout(answerWithinMs);
  const given = signal === undefined ? limit : AbortSignal.any([signal, limit]);
  const over = Promise.withResolvers<never>();
  const onAbort = () => over.reject(given.reason);
  given.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([command, over.promise]);
  } catch (error) {
    throw signal?.aborted ? signal.reason : toConnectError(error);
  } finally {
    given.removeEventListener("abort", onAbort);
  }
}

/** https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors: the first word says what kind it is. */
function toConnectError(cause: unknown): ConnectError {
  // Every instance has the same Redis: another attempt would only make the caller wait (gRFC A6, "Pushback").
  const metadata = { "grpc-retry-pushback-ms": "-1" };
  const fail = (message: string, code: Code) => new ConnectError(message, code, metadata, undefined, cause);
  if (!(cause instanceof ErrorReply)) return fail("Redis cannot be reached", Code.Unavailable);
  switch (cause.message.split(" ", 1)[0]) {
    case "OOM":
      return fail("the cache is full", Code.ResourceExhausted);
    case "WRONGTYPE":
      return fail("the key holds something that is not a value of this cache", Code.FailedPrecondition);
    case "LOADING":
    case "READONLY":
    case "MASTERDOWN":
    case "CLUSTERDOWN":
    case "MISCONF":
    case "BUSY":
    case "TRYAGAIN":
      return fail("Redis cannot serve now", Code.Unavailable);
    default:
      // NOAUTH, NOPERM and the like: our mistake, not the caller's.
      return fail("Redis refuses the command", Code.Internal);
  }
}
