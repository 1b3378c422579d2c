import assert from "node:assert/strict";
import { connect, createServer, type Socket } from "node:net";
import { describe, test } from "node:test";
import { ListenError } from "../../src/server/listen-error.ts";
import { serve } from "../../src/server/serve.ts";
import type { Server } from "../../src/server/server.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";
import { createEchoService } from "../support/echo-service.ts";
import { call, openSession } from "../support/http2-call.ts";
import { http2Kinds } from "../support/http2-kinds.ts";
import { noIpv6 } from "../support/ipv6.ts";

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const emptySettings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);

interface Client {
  readonly socket: Socket;
  /** Everything received so far, as Latin-1. */
  readonly text: string;
  /** Resolves when the text received so far satisfies `ready`. */
  until(ready: (text: string) => boolean): Promise<void>;
  /** Resolves when the server has closed the connection. */
  readonly closed: Promise<void>;
}

async function open(server: Server): Promise<Client> {
  const { port } = await server.ready;
  const socket = connect(port, "127.0.0.1");
  let text = "";
  let check = (): void => {};
  socket.setEncoding("latin1");
  socket.on("data", (chunk: string) => {
    text += chunk;
    check();
  });
  socket.on("error", () => {});
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  return {
    socket,
    get text() {
      return text;
    },
    closed,
    until: (ready) =>
      new Promise((resolve) => {
        check = () => {
          if (ready(text)) resolve();
        };
        check();
      }),
  };
}

/** A few turns of the event loop, for bytes to arrive on loopback. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve, 1));
}

for (const http2 of http2Kinds) {
  describe(`serve({ http2: "${http2}" }) on a cleartext port`, () => {
    test("takes a request that arrives byte by byte, HTTP/1.1 and HTTP/2", async () => {
      await using server = serve({ http2, routes: createEchoService() });
      for (const method of ["GET", "POST", "PUT", "PATCH", "PROPFIND"]) {
        const client = await open(server);
        client.socket.setNoDelay(true);
        for (const byte of `${method} /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n`) {
          client.socket.write(byte);
          await new Promise((resolve) => setImmediate(resolve));
        }
        await client.until((text) => text.endsWith("SERVING"));
        assert.match(client.text, /^HTTP\/1\.1 200 /);
        client.socket.destroy();
      }
      const client = await open(server);
      client.socket.setNoDelay(true);
      for (const byte of [...preface, ...emptySettings]) {
        client.socket.write(Buffer.from([byte]));
        await new Promise((resolve) => setImmediate(resolve));
      }
      // Its SETTINGS: a frame of type 4 on stream 0.
      await client.until((text) => text.length >= 9);
      assert.equal(client.text.charCodeAt(3), 4);
      client.socket.destroy();
    });

    test("survives garbage, and closes the connection it came on", async () => {
      await using server = serve({ http2, routes: createEchoService() });
      const { url } = await server.ready;
      const garbage = [
        Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03]),
        Buffer.from("\0\x01\x02\x03 garbage\r\n\r\n", "latin1"),
        Buffer.from("PRIVATE * HTTP/2.0\r\n\r\n"),
        // What h2spec sends for a broken preface: it must be told nothing that is no frame (RFC 9113 section 3.4).
        Buffer.from("INVALID CONNECTION PREFACE\r\n\r\n"),
        Buffer.concat([preface, Buffer.alloc(64, 0xff)]),
        Buffer.concat([preface, emptySettings, Buffer.from([0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0])]),
      ];
      for (const bytes of garbage) {
        const client = await open(server);
        client.socket.write(bytes);
        await client.closed;
      }
      assert.equal((await fetch(`${url}/healthz`)).status, 200);
    });

    test("survives connections that end or break at any point", async () => {
      await using server = serve({ http2, routes: createEchoService() });
      const { url } = await server.ready;
      for (const bytes of ["", "P", "PR", "PRI * HT", "POST /x HTTP/1.1\r\nHo", `${preface}`]) {
        for (const how of ["end", "destroy", "resetAndDestroy"] as const) {
          const client = await open(server);
          client.socket.write(bytes);
          await new Promise((resolve) => setImmediate(resolve));
          client.socket[how]();
          if (how === "end") await client.closed;
        }
      }
      assert.equal((await fetch(`${url}/healthz`)).status, 200);
    });

    test("closes connections that say nothing, or too little, after 10 s by its clock", async () => {
      const clock = createManualClock();
      const server = serve({ http2, routes: createEchoService(), clock });
      const silent = await open(server);
      const slow = await open(server);
      slow.socket.write("PR");
      const settingsless = await open(server);
      settingsless.socket.write(preface);
      await settle();
      await clock.advance(9_900);
      assert.deepEqual(
        [silent, slow, settingsless].map(({ socket }) => socket.destroyed),
        [false, false, false],
      );
      await clock.advance(200);
      await Promise.all([silent.closed, slow.closed, settingsless.closed]);
      await settle();
      assert.equal(clock.pending, 0);
      await server.close();
    });

    test("closes HTTP/1.1 connections without a whole request for 75 s by its clock, and none with one", async () => {
      const clock = createManualClock();
      const server = serve({ http2, routes: createEchoService(), clock });
      const headless = await open(server);
      headless.socket.write("GET /healthz HTTP/1.1\r\nHost: a\r\n");
      const idle = await open(server);
      idle.socket.write("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
      await idle.until((text) => text.endsWith("SERVING"));
      const busy = await open(server);
      busy.socket.write(
        "POST /lictor.test.v1.EchoService/ClientStream HTTP/1.1\r\nHost: a\r\nContent-Type: application/connect+json\r\nTransfer-Encoding: chunked\r\n\r\n",
      );
      await settle();
      await clock.advance(40_000);
      // Trickled header bytes are no request.
      headless.socket.write("X: y\r\n");
      await settle();
      await clock.advance(34_000);
      assert.deepEqual(
        [headless, idle, busy].map(({ socket }) => socket.destroyed),
        [false, false, false],
      );
      await clock.advance(2_000);
      await Promise.all([headless.closed, idle.closed]);
      assert.equal(busy.socket.destroyed, false);
      busy.socket.destroy();
      await busy.closed;
      await settle();
      assert.equal(clock.pending, 0);
      await server.close();
    });

    test("answers a probe of HTTP/1.0 without a host", async () => {
      await using server = serve({ http2, routes: createEchoService() });
      const client = await open(server);
      client.socket.write("GET /healthz HTTP/1.0\r\n\r\n");
      await client.closed;
      assert.match(client.text, /^HTTP\/1\.[01] 200 [\s\S]*SERVING$/);
    });

    test("answers an upgrade to h2c by HTTP/1.1", async () => {
      await using server = serve({ http2, routes: createEchoService() });
      const client = await open(server);
      client.socket.write(
        "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n",
      );
      await client.until((text) => text.endsWith("SERVING"));
      assert.match(client.text, /^HTTP\/1\.1 200 /);
      client.socket.destroy();
    });

    test("stops an upload whose answer is complete, after 1 s", async () => {
      await using server = serve({ http2, routes: createEchoService(), graceMs: 100 });
      const { url } = await server.ready;
      const session = await openSession(url);
      const startedMs = performance.now();
      // Answered at once (415), never ended by the client.
      const answer = await call(
        session,
        { ":method": "POST", ":path": "/lictor.test.v1.EchoService/Unary", "content-type": "text/html" },
        Buffer.from("some of it"),
        { end: false },
      );
      assert.equal(answer.status, 415);
      assert.ok(performance.now() - startedMs < 4000);
      session.destroy();
    });
  });
}

describe("serve() on a port", () => {
  test("rejects ready with ListenError where the port is in use, and can still be closed", async () => {
    await using first = serve({ routes: createEchoService() });
    const { port } = await first.ready;
    const second = serve({ routes: createEchoService(), port });
    await assert.rejects(
      second.ready,
      (error: unknown) =>
        error instanceof ListenError &&
        error.code === "EADDRINUSE" &&
        error.port === port &&
        error.message === `Cannot listen on 127.0.0.1:${port} as the port is in use`,
    );
    assert.equal(second.state.type, "closed");
    assert.ok(second.state.type === "closed" && second.state.error instanceof ListenError);
    assert.equal(second.address, undefined);
    assert.deepEqual(await second.close(), { finished: 0, cut: 0, tookMs: 0 });
  });

  test("is no unhandled rejection where nobody waits for ready", async () => {
    const blocker = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => blocker.once("listening", resolve));
    const { port } = blocker.address() as { port: number };
    const server = serve({ routes: createEchoService(), port });
    // The runtimes would fail the test for it.
    await settle();
    assert.equal(server.state.type, "closed");
    await new Promise((resolve) => blocker.close(resolve));
  });

  test("rejects ready where it is closed before it listens, and leaves no port open", async () => {
    const server = serve({ routes: createEchoService() });
    assert.equal(server.state.type, "starting");
    const closing = server.close();
    await assert.rejects(server.ready, /closed before it was ready/);
    await closing;
    assert.equal(server.state.type, "closed");
    assert.equal(server.address, undefined);
  });

  test("gives a host that is no address of this machine as ListenError", async () => {
    // TEST-NET-1, RFC 5737.
    const server = serve({ routes: createEchoService(), host: "192.0.2.1" });
    await assert.rejects(server.ready, (error: unknown) => error instanceof ListenError && error.host === "192.0.2.1");
    await server.close();
  });

  test("listens on IPv6, with the address in brackets in its URL", { skip: noIpv6 }, async () => {
    const server = serve({ routes: createEchoService(), host: "::1" });
    const { url, host, port, announced } = await server.ready;
    assert.equal(url, `http://[::1]:${port}`);
    assert.equal(host, "::1");
    assert.deepEqual(announced, { host: "::1", port });
    assert.equal((await fetch(`${url}/healthz`)).status, 200);
    await server.close();
  });

  test("announces a real address and the real port where it listens on a wildcard and port 0", async () => {
    await using server = serve({ routes: createEchoService(), host: "0.0.0.0" });
    const { host, port, announced } = await server.ready;
    assert.equal(host, "0.0.0.0");
    assert.ok(port > 0);
    assert.equal(announced.port, port);
    assert.notEqual(announced.host, "0.0.0.0");
    assert.equal((await fetch(`http://${announced.host}:${port}/healthz`)).status, 200);
  });

  test("announces what advertise says", async () => {
    await using server = serve({ routes: createEchoService(), advertise: { host: "public.example", port: 443 } });
    assert.deepEqual((await server.ready).announced, { host: "public.example", port: 443 });
    assert.deepEqual(server.address?.announced, { host: "public.example", port: 443 });
  });
});
