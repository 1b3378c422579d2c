// Row grpc-js, client: the generic client with proto-loader, round_robin over a static list.

import {
  type CallOptions,
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  Metadata,
  type MethodDefinition,
} from "@grpc/grpc-js";
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
import {
  benchServiceName,
  definitions,
  helloServiceName,
  roundRobinOptions,
  staticTarget,
} from "./grpc-js-definitions.ts";
import { type BenchCaller, runClient } from "./protocol.ts";

interface HelloAnswer {
  readonly message: string;
  readonly result: number;
}

interface Payload {
  readonly payload: Uint8Array;
}

await runClient(({ targets }) => {
  const client = new Client(staticTarget(targets), credentials.createInsecure(), { ...roundRobinOptions });
  const sayHello = methodOf<object, HelloAnswer>(helloServiceName, "SayHello");
  return {
    unary: async (index) => checkHello(await callUnary(client, sayHello, helloRequest(index)), index),
    bench: createBenchCaller(client),
  };
});

function methodOf<I, O>(service: string, name: string): MethodDefinition<I, O> {
  return (definitions[service] as unknown as Record<string, MethodDefinition<I, O>>)[name]!;
}

function metadata(): Metadata {
  const entries = new Metadata();
  entries.set(metadataName, metadataValue);
  return entries;
}

function deadline(timeoutMs: number): CallOptions {
  return { deadline: Date.now() + timeoutMs };
}

function callUnary<I, O>(client: Client, method: MethodDefinition<I, O>, request: I): Promise<O> {
  const { path, requestSerialize, responseDeserialize } = method;
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      metadata(),
      deadline(callTimeoutMs),
      (error, answer) => (error === null && answer !== undefined ? resolve(answer) : reject(error)),
    );
  });
}

function createBenchCaller(client: Client): BenchCaller {
  const echo = methodOf<Payload, Payload>(benchServiceName, "Echo");
  const download = methodOf<object, Payload>(benchServiceName, "Download");
  const chat = methodOf<Payload, Payload>(benchServiceName, "Chat");
  const openChat = (options: CallOptions): ClientDuplexStream<Payload, Payload> =>
    client.makeBidiStreamRequest(chat.path, chat.requestSerialize, chat.responseDeserialize, metadata(), options);
  return {
    async echo(bytes) {
      const { payload } = await callUnary(client, echo, { payload: payloadOf(bytes) });
      checkPayload(payload, bytes);
    },
    async download(messages, bytes) {
      const stream: ClientReadableStream<Payload> = client.makeServerStreamRequest(
        download.path,
        download.requestSerialize,
        download.responseDeserialize,
        { count: messages, bytes },
        metadata(),
        deadline(streamTimeoutMs),
      );
      let received = 0;
      stream.on("data", ({ payload }: Payload) => {
        if (payload.length === bytes) received++;
      });
      await ended(stream);
      checkCount(received, messages);
    },
    async chat(messages, bytes) {
      const stream = openChat(deadline(streamTimeoutMs));
      const payload = payloadOf(bytes);
      let sent = 0;
      let received = 0;
      const pump = () => {
        for (; sent < messages && sent - received < chatWindow; sent++) stream.write({ payload });
        if (sent === messages) {
          sent++;
          stream.end();
        }
      };
      stream.on("data", (answer: Payload) => {
        checkPayload(answer.payload, bytes);
        received++;
        pump();
      });
      pump();
      await ended(stream);
      checkCount(received, messages);
    },
    async hold() {
      const stream = openChat({});
      stream.write({ payload: payloadOf(16) });
      await new Promise((resolve, reject) => {
        stream.once("data", resolve);
        stream.once("error", reject);
      });
      stream.resume();
      return () => {
        stream.end();
        return ended(stream);
      };
    },
  };
}

function ended(stream: ClientReadableStream<Payload>): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.once("end", resolve);
    stream.once("error", reject);
  });
}
