// The server that is attacked: `serve()` as anybody has it, but for the limits that the suite is to meet within its time. Prints
// `ready HOST:PORT`, and runs until its stdin ends or it is killed.

import process from "node:process";
import { serve } from "../../src/server/serve.ts";
import { AttackService } from "../gen/lictor/test/v1/attack_pb.ts";
import { createEchoService } from "../support/echo-service.ts";
import { keepalive, maxConnectionsPerPeer } from "./target.ts";

const payload = new Uint8Array(1_000_000);

const server = serve({
  routes(router) {
    createEchoService()(router);
    router.service(AttackService, {
      hang: (_requests, { signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason), { once: true });
        }),
      large: async () => ({ payload }),
      async *largeStream() {
        yield { payload };
        yield { payload };
      },
      async upload(requests) {
        let count = 0;
        for await (const _request of requests) count++;
        return { count };
      },
    });
  },
  maxConnectionsPerPeer,
  keepalive,
});
const { host, port } = await server.ready;
console.log(`ready ${host}:${port}`);

process.on("unhandledRejection", (error) => {
  console.error("unhandled rejection", error);
  process.exit(1);
});
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
