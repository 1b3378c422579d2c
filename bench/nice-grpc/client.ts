// Row nice-grpc, client: its own client with its deadline middleware, round_robin over a static list.

import type { ServiceDefinition } from "@grpc/grpc-js";
import { callTimeoutMs, checkHello, helloRequest, metadataName, metadataValue } from "../programs/call-options.ts";
import { definitions, helloServiceName, roundRobinOptions, staticTarget } from "../programs/grpc-js-definitions.ts";
import { runClient } from "../programs/protocol.ts";
import { loadDeadlineMiddleware, loadNiceGrpc } from "./nice-grpc.ts";

const { createChannel, createClientFactory, Metadata } = await loadNiceGrpc();
const deadlineMiddleware = await loadDeadlineMiddleware();

await runClient(({ targets }) => {
  const channel = createChannel(staticTarget(targets), undefined, roundRobinOptions);
  const service = definitions[helloServiceName] as unknown as ServiceDefinition;
  const sayHello = createClientFactory().use(deadlineMiddleware).create(service, channel).SayHello!;
  return {
    async unary(index) {
      const metadata = Metadata({ [metadataName]: metadataValue });
      const answer = await sayHello(helloRequest(index), { deadline: new Date(Date.now() + callTimeoutMs), metadata });
      return checkHello(answer as { message: string; result: number }, index);
    },
  };
});
