// A client and a server in one process that make calls of all kinds and endings over real sockets, many of them; then both close, and the
// process ends by itself or not at all. Prints what the heap held at a tenth of the calls and at their end, in bytes, and how calls ended.
// Arguments: number of calls.

import process from "node:process";
import { type CallOptions, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createHttp2Connector } from "../../src/connector/http2-connector.ts";
import { createStaticResolver } from "../../src/resolver/static-resolver.ts";
import { serve } from "../../src/server/serve.ts";
import { createBalancedTransport } from "../../src/transport/balanced-transport.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { createEchoService } from "../support/echo-service.ts";

type Client = ReturnType<typeof createClient<typeof EchoService>>;

const calls = Number(process.argv[2]);
const atATime = 64;

/** Each with the code that it ends with; undefined: it is answered. */
const kinds: readonly { readonly call: (client: Client) => Promise<unknown>; readonly code?: Code }[] = [
  { call: (client) => client.unary({ text: "a" }) },
  { call: (client) => client.unary({ text: "a" }, { timeoutMs: 60_000, headers: { "x-echo": "b" } }) },
  { call: (client) => client.unary({ failCode: Code.NotFound }), code: Code.NotFound },
  { call: (client) => client.unary({ delayMs: 10_000 }, { timeoutMs: 1 }), code: Code.DeadlineExceeded },
  { call: (client) => aborted((options) => client.unary({ delayMs: 10_000 }, options)), code: Code.Canceled },
  { call: (client) => all(client.serverStream({ text: "a", count: 3 })) },
  { call: (client) => first(client.serverStream({ text: "a", count: 100 })) },
  { call: (client) => all(client.serverStream({ count: 1, failCode: Code.DataLoss })), code: Code.DataLoss },
  {
    call: (client) => aborted((options) => all(client.serverStream({ count: 2, delayMs: 10_000 }, options))),
    code: Code.Canceled,
  },
  { call: (client) => client.clientStream(texts(3)) },
  { call: (client) => all(client.bidi(texts(2))) },
  { call: (client) => first(client.bidi(texts(100))) },
];

process.on("unhandledRejection", (error) => {
  console.error("unhandled rejection", error);
  process.exit(1);
});

const server = serve({ routes: createEchoService() });
const { port } = await server.ready;
const transport = createBalancedTransport({
  resolver: createStaticResolver([`http://127.0.0.1:${port}`]),
  connector: createHttp2Connector(),
});
const client = createClient(EchoService, transport);

const ends: Record<string, number> = {};
let made = 0;
await makeUntil(calls / 10);
const heapBefore = await heapBytes();
await makeUntil(calls);
const heapAfter = await heapBytes();
await transport.close();
await server.close();
console.log(JSON.stringify({ calls: made, ends, heapBefore, heapAfter }));

async function makeUntil(count: number): Promise<void> {
  const worker = async () => {
    while (made < count) {
      const kind = kinds[made++ % kinds.length];
      if (kind !== undefined) await makeOne(kind);
    }
  };
  await Promise.all(Array.from({ length: atATime }, worker));
}

async function makeOne({ call, code }: (typeof kinds)[number]): Promise<void> {
  const [result] = await Promise.allSettled([call(client)]);
  const ended = result.status === "fulfilled" ? undefined : ConnectError.from(result.reason);
  const told = ended === undefined ? "ok" : Code[ended.code];
  if (ended?.code !== code) throw new Error(`ended with ${told}`, { cause: ended });
  ends[told] = (ends[told] ?? 0) + 1;
}

async function aborted(call: (options: CallOptions) => Promise<unknown>): Promise<unknown> {
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 1);
  return call({ signal: controller.signal });
}

async function all(messages: AsyncIterable<unknown>): Promise<void> {
  for await (const _message of messages);
}

async function first(messages: AsyncIterable<unknown>): Promise<void> {
  for await (const _message of messages) return;
}

async function* texts(count: number) {
  for (let index = 0; index < count; index++) yield { text: "a" };
}

/** Once garbage is collected, and what is on its way has come. */
async function heapBytes(): Promise<number> {
  const { gc, Bun } = globalThis as { gc?: () => void; Bun?: { gc(sync: boolean): void } };
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 5; round++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    gc?.();
    Bun?.gc(true);
    least = Math.min(least, process.memoryUsage().heapUsed);
  }
  return least;
}
