// Calls through Connect's createClient, over any transport: lictor's and connect-node's rows differ in nothing else.

import { type CallOptions, type Client, createClient, type Transport } from "@connectrpc/connect";
import { HelloService } from "../../gen/HelloService_proto/hello_service_pb.ts";
import { BenchService } from "../gen/lictor/bench/v1/bench_pb.ts";
import {
  callTimeoutMs,
  chatWindow,
  checkCount,
  checkHello,
  checkPayload,
  helloRequest,
  metadataName,
  metadataValue,
  payloadOf,
  streamTimeoutMs,
} from "./call-options.ts";
import type { BenchCaller, Caller } from "./protocol.ts";

const headers = { [metadataName]: metadataValue };

/** Creates the caller. `options` are those of the unary calls, by default the deadline and the metadata of all rows. */
export function createConnectCaller(
  transport: Transport,
  options: CallOptions | undefined = { timeoutMs: callTimeoutMs, headers },
): Caller {
  const hello = createClient(HelloService, transport);
  return {
    async unary(index) {
      return checkHello(await hello.sayHello(helloRequest(index), options), index);
    },
    bench: createBenchCaller(createClient(BenchService, transport)),
  };
}

function createBenchCaller(client: Client<typeof BenchService>): BenchCaller {
  const unaryOptions: CallOptions = { timeoutMs: callTimeoutMs, headers };
  const streamOptions: CallOptions = { timeoutMs: streamTimeoutMs, headers };
  return {
    async echo(bytes) {
      const { payload } = await client.echo({ payload: payloadOf(bytes) }, unaryOptions);
      checkPayload(payload, bytes);
    },
    async download(messages, bytes) {
      let received = 0;
      for await (const { payload } of client.download({ count: messages, bytes }, streamOptions)) {
        checkCount(payload.length, bytes);
        received++;
      }
      checkCount(received, messages);
    },
    async chat(messages, bytes) {
      let received = 0;
      let wake = () => {};
      async function* requests() {
        const payload = payloadOf(bytes);
        for (let sent = 0; sent < messages; sent++) {
          if (sent - received >= chatWindow) {
            await new Promise<void>((resolve) => {
              wake = resolve;
            });
          }
          yield { payload };
        }
      }
      for await (const { payload } of client.chat(requests(), streamOptions)) {
        checkPayload(payload, bytes);
        received++;
        wake();
      }
      checkCount(received, messages);
    },
    async hold() {
      const ended = Promise.withResolvers<void>();
      async function* requests() {
        yield { payload: payloadOf(16) };
        await ended.promise;
      }
      const answers = client.chat(requests(), { headers })[Symbol.asyncIterator]();
      const first = await answers.next();
      checkPayload(first.value?.payload ?? new Uint8Array(), 16);
      return async () => {
        ended.resolve();
        await answers.next();
      };
    },
  };
}

/** One transport over many, each call on the next: for transports that reach one server. */
export function inTurn(transports: readonly Transport[]): Transport {
  let calls = 0;
  const next = () => transports[calls++ % transports.length] as Transport;
  return {
    unary: (...call) => next().unary(...call),
    stream: (...call) => next().stream(...call),
  };
}
