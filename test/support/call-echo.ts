// A user's script: calls EchoService in each of the four ways, `rounds` times, and prints `KIND SERVER ANSWER` for every call.
// Arguments: the agent's address, the service's name, the number of rounds.

import process from "node:process";
import { createClient } from "@connectrpc/connect";
import { createConsulTransport } from "../../src/client/create-consul-transport.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";

const [consul = "", service = "", rounds = "1"] = process.argv.slice(2);

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

await using transport = createConsulTransport({ consul, service });
const client = createClient(EchoService, transport);
for (let i = 0; i < Number(rounds); i++) {
  const { server, payload } = await client.unary({ payload: new Uint8Array(1_000_000) });
  console.log(`unary ${server} ${payload.length}`);
}
for (let i = 0; i < Number(rounds); i++) {
  console.log(`serverStream ${await join(client.serverStream({ text: "s", count: 2 }))}`);
}
for (let i = 0; i < Number(rounds); i++) {
  const { server, text } = await client.clientStream(texts());
  console.log(`clientStream ${server} ${text}`);
}
for (let i = 0; i < Number(rounds); i++) console.log(`bidi ${await join(client.bidi(texts()))}`);
