// Row grpc-js, server: the services of proto-loader on grpc-js's own server.

import {
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type sendUnaryData,
} from "@grpc/grpc-js";
import { benchServiceName, definitions, helloServiceName } from "./grpc-js-definitions.ts";
import { runServer } from "./protocol.ts";

interface HelloRequest {
  readonly name: string;
  readonly num1: number;
  readonly num2: number;
}

interface Payload {
  readonly payload: Uint8Array;
}

await runServer(async () => {
  let port = 0;
  const server = new Server();
  server.addService(serviceOf(helloServiceName), {
    SayHello({ request }: ServerUnaryCall<HelloRequest, object>, answer: sendUnaryData<object>) {
      const { name, num1, num2 } = request;
      answer(null, { message: `Hello! ${name}!This is Server: 127.0.0.1:${port}`, result: (num1 + num2) | 0 });
    },
  });
  server.addService(serviceOf(benchServiceName), {
    Echo({ request }: ServerUnaryCall<Payload, Payload>, answer: sendUnaryData<Payload>) {
      answer(null, { payload: request.payload });
    },
    Download(stream: ServerWritableStream<{ count: number; bytes: number }, Payload>) {
      const { count, bytes } = stream.request;
      const payload = new Uint8Array(bytes);
      let sent = 0;
      const pump = () => {
        while (sent < count) {
          sent++;
          if (!stream.write({ payload })) {
            stream.once("drain", pump);
            return;
          }
        }
        stream.end();
      };
      pump();
    },
    Chat(stream: ServerDuplexStream<Payload, Payload>) {
      stream.on("data", ({ payload }: Payload) => stream.write({ payload }));
      stream.on("end", () => stream.end());
    },
  });
  port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return port;
});

function serviceOf(name: string): ServiceDefinition {
  return definitions[name] as unknown as ServiceDefinition;
}
