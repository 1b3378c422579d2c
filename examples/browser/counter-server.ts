// One instance of CounterService: registered in Consul, and open to the page of another origin.

import { setTimeout as sleep } from "node:timers/promises";
import { Code, ConnectError } from "@connectrpc/connect";
import { type ConsulClientOptions, type Server, serve } from "lictor";
import { CounterService } from "./gen/example/counter/v1/counter_pb.ts";

/** Starts an instance on a free port. `pageOrigins` are where the page may come from: browsers let no other origin call. */
export function startCounterServer(consul: ConsulClientOptions | string, pageOrigins: readonly string[]): Server {
  return serve({
    consul,
    cors: pageOrigins,
    routes(router, server) {
      const self = () => `${server.address?.announced.host}:${server.address?.announced.port}`;
      router.service(CounterService, {
        add({ name, num1, num2 }) {
          if (name === "") throw new ConnectError("the name must not be empty", Code.InvalidArgument);
          return { message: `Hello, ${name}!`, sum: (num1 + num2) | 0, server: self() };
        },
        // The signal aborts when the page cancels, and when it is closed.
        async *count({ upTo, intervalMs }, { signal }) {
          for (let number = 1; number <= upTo; number++) {
            yield { number, server: self() };
            await sleep(intervalMs, undefined, { signal });
          }
        },
      });
    },
  });
}
