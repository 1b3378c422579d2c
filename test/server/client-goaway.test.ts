// A client that leaves in the same packet as its last calls: their answers still come, and the server lives.

import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { serve } from "../../src/server/serve.ts";
import { createEchoService } from "../support/echo-service.ts";
import { pause } from "../support/eventually.ts";
import { frame } from "../support/h2-peer.ts";
import { http2Kinds } from "../support/http2-kinds.ts";

const types = { headers: 1, settings: 4, goaway: 7 };
const endHeadersAndStream = 0x05;

/** HPACK (RFC 7541): GET and http of the static table, path and authority as literals without indexing. */
function getLate(): Uint8Array {
  const literal = (nameIndex: number, value: string) => [nameIndex, value.length, ...Buffer.from(value)];
  return new Uint8Array([0x82, 0x86, ...literal(0x04, "/late"), ...literal(0x01, "localhost")]);
}

/** Stream ids of the HEADERS frames in what a server sent. */
function answered(received: Buffer): number[] {
  const ids: number[] = [];
  for (let at = 0; at + 9 <= received.length; at += 9 + received.readUIntBE(at, 3)) {
    if (received[at + 3] === types.headers) ids.push(received.readUInt32BE(at + 5));
  }
  return ids;
}

for (const http2 of http2Kinds) {
  test(`serve({ http2: "${http2}" }) answers calls that came in one packet with the client's GOAWAY`, async () => {
    // Still under way when the GOAWAY is read: only then does closing the session hurt.
    const fallback = async () => {
      await pause(30);
      return new Response("late");
    };
    await using server = serve({ http2, routes: createEchoService(), fallback });
    const { host, port } = await server.ready;
    for (let round = 0; round < 5; round++) {
      const socket = connect(port, host);
      const chunks: Buffer[] = [];
      const both = new Promise<void>((resolve, reject) => {
        socket.on("data", (chunk: Buffer) => {
          chunks.push(chunk);
          if (answered(Buffer.concat(chunks)).length === 2) resolve();
        });
        socket.on("error", reject);
        socket.on("close", () => reject(new Error(`closed after answers to ${answered(Buffer.concat(chunks))}`)));
      });
      socket.write(
        Buffer.concat([
          Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
          frame(types.settings, 0, 0, new Uint8Array(0)),
          // First, as nghttp2 and so node send it.
          frame(types.goaway, 0, 0, new Uint8Array(8)),
          frame(types.headers, endHeadersAndStream, 1, getLate()),
          frame(types.headers, endHeadersAndStream, 3, getLate()),
        ]),
      );
      await both;
      assert.deepEqual(answered(Buffer.concat(chunks)).sort(), [1, 3]);
      socket.destroy();
    }
  });
}
