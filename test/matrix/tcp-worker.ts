// A Worker that carries out the GrpcOrder in its query over sockets, and answers with the answers.

import { createClient } from "@connectrpc/connect";
import { HelloService } from "../../gen/HelloService_proto/hello_service_pb.ts";
import { createEdgeTcpTransport } from "../../src/edge-tcp.ts";
import { callEchoEveryWay } from "../support/call-echo-every-way.ts";
import type { GrpcAnswers, GrpcOrder } from "./grpc-programs.ts";

async function callByGrpc({ consul, rounds }: GrpcOrder): Promise<GrpcAnswers> {
  const how = { consul, maxConnections: rounds, defaultTimeoutMs: 10_000 };
  await using toHello = createEdgeTcpTransport({ ...how, service: "HelloService" });
  await using toEcho = createEdgeTcpTransport({ ...how, service: "Echo" });
  const hello: string[] = [];
  for (let call = 0; call < rounds; call++) {
    const { message } = await createClient(HelloService, toHello).sayHello({ name: "worker" });
    hello.push(message.split(": ")[1] ?? "");
  }
  return { hello, echo: await callEchoEveryWay(toEcho, rounds) };
}

const worker = {
  async fetch(request: Request): Promise<Response> {
    try {
      const order = new URL(request.url).searchParams.get("order") ?? "";
      return Response.json(await callByGrpc(JSON.parse(order)));
    } catch (error) {
      return new Response(error instanceof Error ? error.stack : String(error), { status: 500 });
    }
  },
};

// biome-ignore lint/style/noDefaultExport: workerd finds a Worker there.
export default worker;
