// EchoService on @grpc/grpc-js, both sides, with the .proto file and no generated code. Arguments: "server", or "client HOST:PORT".
// The server prints "ready HOST:PORT" and ends by SIGTERM; the client prints one line of JSON: see echo-calls.ts.

import process from "node:process";
import { setTimeout as pause } from "node:timers/promises";
import {
  type Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientUnaryCall,
  type ClientWritableStream,
  compressionAlgorithms,
  credentials,
  loadPackageDefinition,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type ServiceError,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { projectFolder } from "../tools/runtimes.ts";
import type { EchoCalls } from "./echo-calls.ts";

interface EchoRequest {
  readonly text: string;
  readonly payload: Buffer;
  readonly delayMs: number;
  readonly failCode: number;
  readonly count: number;
}
interface EchoAnswer {
  readonly text?: string;
  readonly payload?: Buffer;
  readonly index?: number;
  readonly count?: number;
}

type Callback = (error: ServiceError | null, answer: EchoAnswer) => void;
interface EchoStub extends Client {
  unary(request: Partial<EchoRequest>, options: { deadline?: number } | Metadata, callback: Callback): ClientUnaryCall;
  serverStream(request: Partial<EchoRequest>): ClientReadableStream<EchoAnswer>;
  clientStream(callback: Callback): ClientWritableStream<Partial<EchoRequest>>;
  bidi(): ClientDuplexStream<Partial<EchoRequest>, EchoAnswer>;
}
interface EchoStubConstructor {
  new (address: string, channelCredentials: ReturnType<typeof credentials.createInsecure>, options?: object): EchoStub;
  readonly service: ServiceDefinition;
}

const definition = loadSync("lictor/test/v1/echo.proto", {
  includeDirs: [`${projectFolder}test/proto`],
  defaults: true,
});
// What grpc-js makes of a .proto file has no types of its own.
const loaded = loadPackageDefinition(definition) as unknown as {
  lictor: { test: { v1: { EchoService: EchoStubConstructor } } };
};
const Echo = loaded.lictor.test.v1.EchoService;

const [role, address = ""] = process.argv.slice(2);
if (role === "server") await serve();
else console.log(JSON.stringify(await makeCalls()));

async function serve(): Promise<void> {
  const server = new Server();
  server.addService(Echo.service, {
    async unary(call: ServerUnaryCall<EchoRequest, EchoAnswer>, answer: sendUnaryData<EchoAnswer>) {
      const header = new Metadata();
      for (const value of call.metadata.get("x-echo")) header.add("x-echo-header", value);
      for (const value of call.metadata.get("x-echo-bin")) header.add("x-echo-header-bin", value);
      call.sendMetadata(header);
      await pause(call.request.delayMs);
      const error = failureOf(call.request);
      if (error !== undefined) answer(error);
      else answer(null, { text: call.request.text, payload: call.request.payload });
    },
    async serverStream(call: ServerWritableStream<EchoRequest, EchoAnswer>) {
      const { text, count, delayMs } = call.request;
      for (let index = 0; index < count && !call.cancelled; index++) {
        if (delayMs > 0) await pause(delayMs);
        call.write({ text, index });
      }
      const error = failureOf(call.request);
      if (error !== undefined) call.emit("error", error);
      else call.end();
    },
    async clientStream(call: ServerReadableStream<EchoRequest, EchoAnswer>, answer: sendUnaryData<EchoAnswer>) {
      const texts: string[] = [];
      for await (const request of call) texts.push((request as EchoRequest).text);
      answer(null, { text: texts.join(","), count: texts.length });
    },
    async bidi(call: ServerDuplexStream<EchoRequest, EchoAnswer>) {
      let index = 0;
      for await (const request of call) call.write({ text: (request as EchoRequest).text, index: index++ });
      call.end();
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  process.once("SIGTERM", () => server.tryShutdown(() => process.exit(0)));
  console.log(`ready 127.0.0.1:${port}`);
}

function failureOf({ failCode }: EchoRequest): Partial<ServiceError> | undefined {
  if (failCode === 0) return undefined;
  const metadata = new Metadata();
  metadata.set("x-echo-error", "yes");
  return { code: failCode, details: "asked to fail", metadata };
}

async function makeCalls(): Promise<EchoCalls> {
  const plain = new Echo(address, credentials.createInsecure());
  const zipping = new Echo(address, credentials.createInsecure(), {
    "grpc.default_compression_algorithm": compressionAlgorithms.gzip,
  });
  const unary = (stub: EchoStub, request: Partial<EchoRequest>, options: { deadline?: number } = {}) =>
    new Promise<EchoAnswer>((resolve, reject) => {
      stub.unary(request, options, (error, answer) => (error ? reject(error) : resolve(answer)));
    });
  const codeOf = async (call: Promise<unknown>) => {
    try {
      await call;
      return 0;
    } catch (error) {
      return (error as ServiceError).code as number;
    }
  };
  const metadata = () =>
    new Promise<EchoCalls["metadata"]>((resolve, reject) => {
      const asked = new Metadata();
      asked.set("x-echo", "value");
      asked.set("x-echo-bin", Buffer.of(0, 1, 255));
      plain
        .unary({}, asked, (error) => error && reject(error))
        .on("metadata", (header: Metadata) => {
          const [text = "", bytes = ""] = [header.get("x-echo-header")[0], header.get("x-echo-header-bin")[0]];
          resolve([text.toString(), Buffer.from(bytes).toString("hex")]);
        });
    });
  const whole = async (stub: EchoStub, calls: number, bytes: number) => {
    const isWhole = async (call: number) => {
      const payload = Buffer.alloc(bytes, call);
      const answer = await unary(stub, { text: `call ${call}`, payload });
      return answer.text === `call ${call}` && payload.equals(answer.payload ?? Buffer.alloc(0));
    };
    const answers = await Promise.all(Array.from({ length: calls }, (_, call) => isWhole(call)));
    return answers.filter(Boolean).length;
  };
  const failure = async (): Promise<EchoCalls["failure"]> => {
    try {
      await unary(plain, { failCode: status.FAILED_PRECONDITION });
      return undefined;
    } catch (error) {
      const { code, details, metadata: marks } = error as ServiceError;
      return [code, details, marks.get("x-echo-error")[0]?.toString() ?? null];
    }
  };
  const readStream = async (request: Partial<EchoRequest>, onAnswer: (answer: EchoAnswer) => void) => {
    for await (const answer of plain.serverStream(request)) onAnswer(answer);
  };
  const canceled = async () => {
    const stream = plain.serverStream({ count: 100, delayMs: 20 });
    stream.once("data", () => stream.cancel());
    return new Promise<number>((resolve) => {
      stream.on("data", () => {}).on("error", (error) => resolve((error as ServiceError).code));
    });
  };
  const serverStream = async () => {
    let count = 0;
    await readStream({ text: "stream", count: 1000 }, ({ index }) => {
      if (index === count) count++;
    });
    return count;
  };
  const failedStream = async (): Promise<EchoCalls["failedStream"]> => {
    let count = 0;
    const code = await codeOf(readStream({ count: 3, failCode: status.FAILED_PRECONDITION }, () => count++));
    return [count, code];
  };
  const clientStream = () =>
    new Promise<number>((resolve, reject) => {
      const call = plain.clientStream((error, answer) => (error ? reject(error) : resolve(answer.count ?? 0)));
      for (let index = 0; index < 1000; index++) call.write({ text: String(index) });
      call.end();
    });
  const bidi = async () => {
    const call = plain.bidi();
    let count = 0;
    call.write({ text: "0" });
    for await (const answer of call) {
      if (answer.text === String(count)) count++;
      if (count < 100) call.write({ text: String(count) });
      else call.end();
    }
    return count;
  };
  const unknown = () =>
    new Promise((resolve, reject) => {
      const raw = (bytes: Buffer) => bytes;
      plain.makeUnaryRequest("/lictor.test.v1.EchoService/Missing", raw, raw, Buffer.alloc(0), (error, answer) =>
        error ? reject(error) : resolve(answer),
      );
    });
  try {
    return {
      metadata: await metadata(),
      calls: await whole(plain, 500, 10),
      payloads: await whole(plain, 20, 1 << 20),
      zipped: await whole(zipping, 20, 100_000),
      failure: await failure(),
      deadline: await codeOf(unary(plain, { delayMs: 5000 }, { deadline: Date.now() + 100 })),
      canceled: await canceled(),
      unknown: await codeOf(unknown()),
      serverStream: await serverStream(),
      failedStream: await failedStream(),
      clientStream: await clientStream(),
      bidi: await bidi(),
    };
  } finally {
    plain.close();
    zipping.close();
  }
}
