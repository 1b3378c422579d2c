// What a client on fetch does for the table: calls HelloService and reads a stream of EchoService by one protocol. Runs unchanged in
// a process, a Worker and a page.

import { createClient } from "@connectrpc/connect";
import { createEdgeTransport, createHelloClient, type EdgeTransportOptions } from "../../src/edge.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";

/** What to call, where and how often. Plain JSON data. */
export interface EdgeOrder {
  readonly protocol: "connect" | "grpc-web";
  /** Address of the agent that knows HelloService and Echo, or the URLs of their servers. */
  readonly servers:
    | { readonly consul: string }
    | { readonly hello: readonly string[]; readonly echo: readonly string[] };
  /** Calls of each service in each format: first in binary, then in JSON. */
  readonly rounds: number;
}

/** What was answered, in the order of the calls. Plain JSON data. */
export interface EdgeAnswers {
  /** `message result` of SayHello. */
  readonly hello: readonly string[];
  /** `server texts` of ServerStream. */
  readonly echo: readonly string[];
  /** What the requests were written in, each once, sorted: tells the protocol and the format. */
  readonly contentTypes: readonly string[];
}

/** Makes the calls, one after the other. */
export async function callByEdge({ protocol, servers, rounds }: EdgeOrder): Promise<EdgeAnswers> {
  const hello: string[] = [];
  const echo: string[] = [];
  const contentTypes = new Set<string>();
  const send = (url: string, init: RequestInit): Promise<Response> => {
    contentTypes.add(new Headers(init.headers).get("content-type") ?? "none");
    return fetch(url, init);
  };
  for (const useBinaryFormat of [true, false]) {
    const how = { protocol, useBinaryFormat, defaultTimeoutMs: 10_000, fetch: send };
    const ofHello = "consul" in servers ? { consul: servers.consul } : { endpoints: servers.hello };
    const ofEcho = "consul" in servers ? { consul: servers.consul, service: "Echo" } : { endpoints: servers.echo };
    const client = createHelloClient({ ...how, ...ofHello });
    const streams = createClient(
      EchoService,
      createEdgeTransport({ ...how, ...ofEcho } satisfies EdgeTransportOptions),
    );
    for (let call = 0; call < rounds; call++) {
      const { message, result } = await client.sayHello({ name: protocol, num1: 1, num2: 2 });
      hello.push(`${message} ${result}`);
      const texts: string[] = [];
      let name = "";
      for await (const { text, index, server } of streams.serverStream({ text: "s", count: 3 })) {
        texts.push(`${text}${index}`);
        name = server;
      }
      echo.push(`${name} ${texts.join(",")}`);
    }
  }
  return { hello, echo, contentTypes: [...contentTypes].sort() };
}
