// Calls EchoService in each of the four ways, whatever the transport. Runs in Workers too.

import { createClient, type Transport } from "@connectrpc/connect";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";

async function* texts(): AsyncGenerator<{ text: string }> {
  yield { text: "x" };
  yield { text: "y" };
}

async function join(messages: AsyncIterable<{ text: string; index: number; server: string }>): Promise<string> {
  let server = "";
  const answers: string[] = [];
  for await (const message of messages) {
    server = message.server;
    answers.push(message.text + message.index);
  }
  return `${server} ${answers.join(",")}`;
}

/** Makes `rounds` calls of each kind, one after the other. Resolves with `KIND SERVER ANSWER` of every call. */
export async function callEchoEveryWay(transport: Transport, rounds: number): Promise<string[]> {
  const client = createClient(EchoService, transport);
  const kinds: Readonly<Record<string, () => Promise<string>>> = {
    async unary() {
      const { server, payload } = await client.unary({ payload: new Uint8Array(1_000_000) });
      return `${server} ${payload.length}`;
    },
    serverStream: () => join(client.serverStream({ text: "s", count: 2 })),
    async clientStream() {
      const { server, text } = await client.clientStream(texts());
      return `${server} ${text}`;
    },
    bidi: () => join(client.bidi(texts())),
  };
  const answers: string[] = [];
  for (const [kind, call] of Object.entries(kinds)) {
    for (let round = 0; round < rounds; round++) answers.push(`${kind} ${await call()}`);
  }
  return answers;
}
