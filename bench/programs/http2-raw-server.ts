// Row http2-raw, server: gRPC framed by hand on node:http2.

import http2 from "node:http2";
import type { AddressInfo } from "node:net";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { HelloRequestSchema, HelloResponseSchema } from "../../gen/HelloService_proto/hello_service_pb.ts";
import { EchoRequestSchema, EchoResponseSchema } from "../gen/lictor/bench/v1/bench_pb.ts";
import { frameMessage, onlyMessage } from "./grpc-frame.ts";
import { runServer } from "./protocol.ts";

const windowBytes = 4 * 1024 * 1024;

await runServer(async () => {
  let port = 0;
  const server = http2.createServer({ settings: { initialWindowSize: windowBytes } });
  server.on("session", (session) => session.setLocalWindowSize(windowBytes));
  server.on("stream", (stream, headers) => {
    const pieces: Buffer[] = [];
    stream.on("error", () => {});
    stream.on("data", (piece: Buffer) => pieces.push(piece));
    stream.on("end", () => {
      const answer = answerTo(headers[":path"] ?? "", onlyMessage(pieces), port);
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": answer === undefined ? "12" : "0" }));
      stream.end(answer === undefined ? undefined : frameMessage(answer));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  port = (server.address() as AddressInfo).port;
  return port;
});

function answerTo(path: string, message: Uint8Array, port: number): Uint8Array | undefined {
  switch (path) {
    case "/HelloService_proto.HelloService/SayHello": {
      const { name, num1, num2 } = fromBinary(HelloRequestSchema, message);
      const fields = { message: `Hello! ${name}!This is Server: 127.0.0.1:${port}`, result: (num1 + num2) | 0 };
      return toBinary(HelloResponseSchema, create(HelloResponseSchema, fields));
    }
    case "/lictor.bench.v1.BenchService/Echo": {
      const { payload } = fromBinary(EchoRequestSchema, message);
      return toBinary(EchoResponseSchema, create(EchoResponseSchema, { payload }));
    }
    default:
      return undefined;
  }
}
