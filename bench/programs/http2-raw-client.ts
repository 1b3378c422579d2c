// Row http2-raw, client: gRPC framed by hand on node:http2, sessions in turn. What remains is the cost of node:http2 and protobuf-es.

import http2 from "node:http2";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { HelloRequestSchema, HelloResponseSchema } from "../../gen/HelloService_proto/hello_service_pb.ts";
import { EchoRequestSchema, EchoResponseSchema } from "../gen/lictor/bench/v1/bench_pb.ts";
import {
  callTimeoutMs,
  checkHello,
  checkPayload,
  helloRequest,
  metadataName,
  metadataValue,
  payloadOf,
} from "./call-options.ts";
import { frameMessage, onlyMessage } from "./grpc-frame.ts";
import { type BenchCaller, runClient } from "./protocol.ts";

const windowBytes = 4 * 1024 * 1024;

await runClient(({ targets }) => {
  const sessions = targets.map((target) => {
    const session = http2.connect(`http://${target}`, { settings: { initialWindowSize: windowBytes } });
    session.once("connect", () => session.setLocalWindowSize(windowBytes));
    return session;
  });
  let calls = 0;
  const call = (path: string, message: Uint8Array) =>
    send(sessions[calls++ % sessions.length] as http2.ClientHttp2Session, path, message);
  const none = () => Promise.reject(new Error("this row does not stream"));
  const bench: BenchCaller = {
    async echo(bytes) {
      const request = toBinary(EchoRequestSchema, create(EchoRequestSchema, { payload: payloadOf(bytes) }));
      const { payload } = fromBinary(EchoResponseSchema, await call("/lictor.bench.v1.BenchService/Echo", request));
      checkPayload(payload, bytes);
    },
    download: none,
    chat: none,
    hold: none,
  };
  return {
    async unary(index) {
      const request = toBinary(HelloRequestSchema, create(HelloRequestSchema, helloRequest(index)));
      const answer = await call("/HelloService_proto.HelloService/SayHello", request);
      return checkHello(fromBinary(HelloResponseSchema, answer), index);
    },
    bench,
  };
});

function send(session: http2.ClientHttp2Session, path: string, message: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
      "grpc-timeout": `${callTimeoutMs}m`,
      [metadataName]: metadataValue,
    });
    const pieces: Buffer[] = [];
    let status: unknown;
    const timer = setTimeout(() => stream.destroy(new Error("deadline exceeded")), callTimeoutMs);
    stream.on("response", (headers) => {
      status = headers["grpc-status"];
    });
    stream.on("trailers", (trailers) => {
      status = trailers["grpc-status"];
    });
    stream.on("data", (piece: Buffer) => pieces.push(piece));
    stream.on("end", () => {
      clearTimeout(timer);
      try {
        if (status !== "0") throw new Error(`grpc-status ${status}`);
        resolve(onlyMessage(pieces));
      } catch (error) {
        reject(error);
      }
    });
    stream.on("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    stream.end(frameMessage(message));
  });
}
