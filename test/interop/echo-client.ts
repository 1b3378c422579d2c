// Makes every kind of call to an EchoService of others, through lictor's transport, and prints one line of JSON that tells what came of
// them: see echo-calls.ts. Argument: HOST:PORT.

import process from "node:process";
import { Code, ConnectError, createClient, decodeBinaryHeader, encodeBinaryHeader } from "@connectrpc/connect";
import { createStaticResolver } from "../../src/resolver/static-resolver.ts";
import { createBalancedTransport } from "../../src/transport/balanced-transport.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import type { EchoCalls } from "./echo-calls.ts";
import { createConnector } from "./http2-kind.ts";

const [address = ""] = process.argv.slice(2);
await using transport = createBalancedTransport({
  resolver: createStaticResolver([`http://${address}`]),
  connector: createConnector(),
});
const client = createClient(EchoService, transport);

const calls: EchoCalls = {
  metadata: await metadata(),
  calls: await whole(500, 10),
  payloads: await whole(20, 1 << 20),
  zipped: await whole(20, 100_000),
  failure: await failure(),
  deadline: await codeOf(client.unary({ delayMs: 5000 }, { timeoutMs: 100 })),
  canceled: await canceled(),
  unknown: await codeOf(client.unaryIdempotent({})),
  serverStream: await serverStream(),
  failedStream: await failedStream(),
  clientStream: (await client.clientStream(texts(1000))).count,
  bidi: await bidi(),
};
console.log(JSON.stringify(calls));

async function metadata(): Promise<EchoCalls["metadata"]> {
  let header = new Headers();
  const headers = { "x-echo": "value", "x-echo-bin": encodeBinaryHeader(Uint8Array.of(0, 1, 255)) };
  await client.unary(
    {},
    {
      headers,
      onHeader: (received) => {
        header = received;
      },
    },
  );
  const bytes = decodeBinaryHeader(header.get("x-echo-header-bin") ?? "");
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [header.get("x-echo-header"), hex];
}

/** Calls at once with a payload; how many came back whole. */
async function whole(count: number, bytes: number): Promise<number> {
  const isWhole = async (call: number) => {
    const payload = new Uint8Array(bytes);
    for (let at = 0; at < bytes; at++) payload[at] = at * 7 + call;
    const answer = await client.unary({ text: `call ${call}`, payload });
    return answer.text === `call ${call}` && Buffer.compare(answer.payload, payload) === 0;
  };
  const answers = await Promise.all(Array.from({ length: count }, (_, call) => isWhole(call)));
  return answers.filter(Boolean).length;
}

async function failure(): Promise<EchoCalls["failure"]> {
  try {
    await client.unary({ failCode: Code.FailedPrecondition });
    return undefined;
  } catch (error) {
    const { code, rawMessage, metadata: marks } = ConnectError.from(error);
    return [code, rawMessage, marks.get("x-echo-error")];
  }
}

async function canceled(): Promise<number> {
  const { signal } = withAbortAfter(50);
  await client.unary({ delayMs: 5000 }, { signal }).catch(() => {});
  const controller = new AbortController();
  const read = async () => {
    for await (const _ of client.serverStream({ count: 100, delayMs: 20 }, { signal: controller.signal })) {
      controller.abort();
    }
  };
  return codeOf(read());
}

function withAbortAfter(delayMs: number): AbortController {
  const controller = new AbortController();
  setTimeout(() => controller.abort(), delayMs);
  return controller;
}

async function serverStream(): Promise<number> {
  let count = 0;
  for await (const { index } of client.serverStream({ text: "stream", count: 1000 })) if (index === count) count++;
  return count;
}

async function failedStream(): Promise<EchoCalls["failedStream"]> {
  let count = 0;
  const read = async () => {
    for await (const _ of client.serverStream({ count: 3, failCode: Code.FailedPrecondition })) count++;
  };
  const code = await codeOf(read());
  return [count, code];
}

/** Each message waits for the answer to the one before. */
async function bidi(): Promise<number> {
  let count = 0;
  let wake = (): void => {};
  async function* ask() {
    for (let asked = 0; asked < 100; asked++) {
      yield { text: String(asked) };
      while (count <= asked) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  }
  for await (const { text } of client.bidi(ask())) {
    if (text === String(count)) count++;
    wake();
  }
  return count;
}

async function* texts(count: number) {
  for (let index = 0; index < count; index++) yield { text: String(index) };
}

async function codeOf(call: Promise<unknown>): Promise<number> {
  try {
    await call;
    return 0;
  } catch (error) {
    return ConnectError.from(error).code;
  }
}
