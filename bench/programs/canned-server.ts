// The server that all client rows share where neither Go's nor Rust's was built: it answers SayHello with ready-made frames and is
// nobody's engine. It decodes no header, so it takes every request for SayHello; it keeps to the connection's flow control
// (RFC 9113 section 5.2), which is all that small answers need. Not fit for anything but the benchmark.

import { type AddressInfo, createServer, type Socket } from "node:net";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { HelloRequestSchema, HelloResponseSchema } from "../../gen/HelloService_proto/hello_service_pb.ts";
import { runServer } from "./protocol.ts";

const prefaceBytes = 24;
const frame = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goaway: 7, windowUpdate: 8, continuation: 9 };
const flag = { endStream: 1, ack: 1, endHeaders: 4, padded: 8 };
const smallestWindow = 65_535;

// :status 200 out of the static table, content-type with a name out of it, neither indexed (RFC 7541 section 6.2.2).
const headBlock = Buffer.concat([Buffer.from([0x88, 0x0f, 0x10, 0]), Buffer.from("application/grpc")]);
headBlock[3] = headBlock.length - 4;
const trailerBlock = Buffer.concat([
  Buffer.from([0, 11]),
  Buffer.from("grpc-status"),
  Buffer.from([1]),
  Buffer.from("0"),
]);

await runServer(async () => {
  let port = 0;
  const server = createServer((socket) => {
    socket.setNoDelay(true);
    socket.on("error", () => {});
    serve(socket, (message) => answerTo(message, port));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  port = (server.address() as AddressInfo).port;
  return port;
});

function answerTo(message: Uint8Array, port: number): Uint8Array {
  const { name, num1, num2 } = fromBinary(HelloRequestSchema, message);
  const fields = { message: `Hello! ${name}!This is Server: 127.0.0.1:${port}`, result: (num1 + num2) | 0 };
  return toBinary(HelloResponseSchema, create(HelloResponseSchema, fields));
}

function serve(socket: Socket, answer: (message: Uint8Array) => Uint8Array): void {
  let rest: Buffer = Buffer.alloc(0);
  let awaitsPreface = true;
  /** What the peer may still be sent, and the answers that wait for more. */
  let window = smallestWindow;
  const waiting: { id: number; message: Uint8Array }[] = [];
  /** Bytes taken that the peer has not been told of. */
  let taken = 0;
  /** Requests that are not whole. */
  const bodies = new Map<number, Buffer>();
  let out: Buffer[] = [frameOf(frame.settings, 0, 0, Buffer.alloc(0))];

  const reply = (id: number, message: Uint8Array) => {
    const length = 5 + message.length;
    if (length > window) {
      waiting.push({ id, message });
      return;
    }
    window -= length;
    const head = Buffer.alloc(5);
    head.writeUInt32BE(message.length, 1);
    out.push(
      frameOf(frame.headers, flag.endHeaders, id, headBlock),
      frameOf(frame.data, 0, id, Buffer.concat([head, message])),
      frameOf(frame.headers, flag.endHeaders | flag.endStream, id, trailerBlock),
    );
  };

  const onFrame = (type: number, flags: number, id: number, payload: Buffer) => {
    switch (type) {
      case frame.data: {
        taken += payload.length;
        const padding = (flags & flag.padded) === 0 ? 0 : (payload[0] ?? 0) + 1;
        const bytes = padding === 0 ? payload : payload.subarray(1, payload.length + 1 - padding);
        const body = bodies.get(id);
        const whole = body === undefined ? bytes : Buffer.concat([body, bytes]);
        if ((flags & flag.endStream) === 0) {
          bodies.set(id, Buffer.from(whole));
        } else {
          bodies.delete(id);
          reply(id, answer(whole.subarray(5)));
        }
        break;
      }
      case frame.reset:
        bodies.delete(id);
        break;
      case frame.settings:
        if ((flags & flag.ack) === 0) out.push(frameOf(frame.settings, flag.ack, 0, Buffer.alloc(0)));
        break;
      case frame.ping:
        if ((flags & flag.ack) === 0) out.push(frameOf(frame.ping, flag.ack, 0, payload));
        break;
      case frame.windowUpdate:
        if (id === 0) {
          window += payload.readUInt32BE(0) & 0x7fff_ffff;
          for (const { id, message } of waiting.splice(0)) reply(id, message);
        }
        break;
      case frame.goaway:
        socket.end();
        break;
    }
  };

  socket.on("data", (chunk: Buffer) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    if (awaitsPreface) {
      if (rest.length < prefaceBytes) return;
      rest = rest.subarray(prefaceBytes);
      awaitsPreface = false;
    }
    while (rest.length >= 9) {
      const end = 9 + rest.readUIntBE(0, 3);
      if (rest.length < end) break;
      onFrame(rest[3] ?? 0, rest[4] ?? 0, rest.readUInt32BE(5) & 0x7fff_ffff, rest.subarray(9, end));
      rest = rest.subarray(end);
    }
    if (taken > smallestWindow / 4) {
      const increment = Buffer.alloc(4);
      increment.writeUInt32BE(taken);
      taken = 0;
      out.push(frameOf(frame.windowUpdate, 0, 0, increment));
    }
    if (out.length > 0) socket.write(Buffer.concat(out));
    out = [];
  });
}

function frameOf(type: number, flags: number, id: number, payload: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(9 + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(id, 5);
  bytes.set(payload, 9);
  return bytes;
}
