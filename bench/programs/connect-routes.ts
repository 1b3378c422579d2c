// HelloService and BenchService as Connect's routes: lictor's and connect-node's servers serve the same ones.

import type { ConnectRouter } from "@connectrpc/connect";
import { HelloService } from "../../gen/HelloService_proto/hello_service_pb.ts";
import { BenchService } from "../gen/lictor/bench/v1/bench_pb.ts";

/** Adds both. `port` is asked with every SayHello. */
export function addRoutes(router: ConnectRouter, port: () => number): void {
  router.service(HelloService, {
    sayHello: ({ name, num1, num2 }) => ({
      message: `Hello! ${name}!This is Server: 127.0.0.1:${port()}`,
      result: (num1 + num2) | 0,
    }),
  });
  router.service(BenchService, {
    echo: ({ payload }) => ({ payload }),
    async *download({ count, bytes }) {
      const payload = new Uint8Array(bytes);
      for (let sent = 0; sent < count; sent++) yield { payload };
    },
    async *chat(requests) {
      for await (const { payload } of requests) yield { payload };
    },
  });
}
