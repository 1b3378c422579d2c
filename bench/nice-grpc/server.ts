// Row nice-grpc, server.

import type { ServiceDefinition } from "@grpc/grpc-js";
import { definitions, helloServiceName } from "../programs/grpc-js-definitions.ts";
import { runServer } from "../programs/protocol.ts";
import { loadNiceGrpc } from "./nice-grpc.ts";

const { createServer } = await loadNiceGrpc();

await runServer(async () => {
  let port = 0;
  const server = createServer();
  server.add(definitions[helloServiceName] as unknown as ServiceDefinition, {
    async SayHello({ name, num1, num2 }: { name: string; num1: number; num2: number }) {
      return { message: `Hello! ${name}!This is Server: 127.0.0.1:${port}`, result: (num1 + num2) | 0 };
    },
  });
  port = await server.listen("127.0.0.1:0");
  return port;
});
