// When a socket says that all is sent, so that the memory may be written again: over TCP and TLS, to a reader that pauses.

import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { describe, test } from "node:test";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { wrapNodeSocket } from "../../src/runtime/node-socket.ts";
import { makeCertificates } from "../support/certificates.ts";

/** More than a socket's buffers take at once. */
const roundBytes = 6_000_000;
const rounds = 12;

/** Two ends of a connection; closing them closes the port too. */
async function openPair(kind: "TCP" | "TLS") {
  const { ca, server: pair } = makeCertificates();
  const server = kind === "TLS" ? createTlsServer(pair) : createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const to = { port: (server.address() as AddressInfo).port, host: "127.0.0.1" };
  const accepted = once(server, kind === "TLS" ? "secureConnection" : "connection");
  const client: Socket = kind === "TLS" ? connectTls({ ...to, ca }) : connect(to);
  await once(client, kind === "TLS" ? "secureConnect" : "connect");
  const [other] = (await accepted) as [Socket];
  return {
    client,
    server: other,
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      client.destroy();
      other.destroy();
      await closed;
    },
  };
}

const ignored = { onBytes() {}, onWritable() {}, onClosed() {} };

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("wrapNodeSocket().isDrained", () => {
  for (const kind of ["TCP", "TLS"] as const) {
    for (const side of ["client", "server"] as const) {
      test(`is true only when ${kind} has taken all that a ${side} wrote, which may change then`, async () => {
        await using pair = await openPair(kind);
        const writer = wrapNodeSocket(pair[side]);
        const reader = pair[side === "client" ? "server" : "client"];
        writer.start(ignored);
        let read = 0;
        let wrong = 0;
        let pieces = 0;
        reader.on("data", (bytes: Uint8Array) => {
          for (let at = 0; at < bytes.length; at++) {
            if (bytes[at] !== Math.floor((read + at) / roundBytes) + 1) wrong++;
          }
          read += bytes.length;
          if (++pieces % 20 !== 0) return;
          reader.pause();
          setImmediate(() => reader.resume());
        });
        const memory = new Uint8Array(roundBytes);
        let waits = 0;
        for (let round = 1; round <= rounds; round++) {
          memory.fill(round);
          writer.write([memory.subarray(0, 5), memory.subarray(5, 3_000_000), memory.subarray(3_000_000)]);
          for (; !writer.isDrained; waits++) await turn();
        }
        while (read < rounds * roundBytes) await turn();
        assert.equal(wrong, 0);
        assert.ok(waits > 0, "nothing had to wait");
      });
    }
  }

  for (const kind of ["TCP", "TLS"] as const) {
    test(`becomes true with a call of onWritable where ${kind} is not done when write() comes back`, async () => {
      await using pair = await openPair(kind);
      const writer = wrapNodeSocket(pair.client);
      let told = 0;
      writer.start({ ...ignored, onWritable: () => told++ });
      pair.server.resume();
      // Small ones, and one that waits, though not for so long that `write` says so.
      for (const bytes of [10, 10, 10, 3_000_000, 10]) {
        told = 0;
        writer.write([new Uint8Array(5), new Uint8Array(bytes)]);
        if (writer.isDrained) continue;
        while (!writer.isDrained) await turn();
        // It may come a little later, but not by another write.
        for (let turns = 0; told === 0 && turns < 100; turns++) await turn();
        assert.ok(told > 0, `nothing was told of ${bytes} bytes`);
      }
    });
  }

  test("stays false on a socket that is destroyed with bytes to send", async () => {
    await using pair = await openPair("TCP");
    const writer = wrapNodeSocket(pair.client);
    writer.start(ignored);
    pair.server.pause();
    const memory = new Uint8Array(16_000_000);
    for (let count = 0; writer.isDrained && count < 10; count++) writer.write([memory]);
    assert.equal(writer.isDrained, false);
    const closed = once(pair.client, "close");
    writer.destroy();
    assert.equal(writer.isDrained, false);
    await closed;
    await turn();
    assert.equal(writer.isDrained, false);
  });
});
