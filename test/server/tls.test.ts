import assert from "node:assert/strict";
import { request } from "node:https";
import { type AddressInfo, connect } from "node:net";
import { after, before, describe, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { createClient } from "@connectrpc/connect";
import { createSocketConnector } from "../../src/connector/socket-connector.ts";
import type { Endpoint } from "../../src/core/endpoint.ts";
import type { ByteSocket } from "../../src/http2/byte-socket.ts";
import { createStaticResolver } from "../../src/resolver/static-resolver.ts";
import { wrapNodeSocket } from "../../src/runtime/node-socket.ts";
import { serve } from "../../src/server/serve.ts";
import type { Server } from "../../src/server/server.ts";
import { createTlsFront } from "../../src/server/tls-front.ts";
import { createBalancedTransport } from "../../src/transport/balanced-transport.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { makeCertificates } from "../support/certificates.ts";
import { createEchoService } from "../support/echo-service.ts";
import { eventually } from "../support/eventually.ts";
import { call, openSession } from "../support/http2-call.ts";
import { http2Kinds } from "../support/http2-kinds.ts";
import { createRecordingLogger } from "../support/recording-logger.ts";

const { ca, server: serverPair, client: clientPair, stranger } = makeCertificates();

function get(url: string, options: { cert?: string; key?: string } = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    // Of its own connection: an agent would keep one that was verified with another certificate.
    const call = request(`${url}/healthz`, { ca, agent: false, ...options }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => resolve(`HTTP/${response.httpVersion} ${response.statusCode} ${text}`));
      response.on("error", reject);
    });
    call.on("error", reject);
    call.end();
  });
}

/** As workerd connects: its TLS has no ALPN. */
function openWithoutAlpn(endpoint: Endpoint): Promise<ByteSocket> {
  const { port } = new URL(endpoint.url);
  return new Promise((resolve, reject) => {
    const socket = connectTls({ port: Number(port), host: "127.0.0.1", ca }, () => resolve(wrapNodeSocket(socket)));
    socket.on("error", reject);
  });
}

/** The protocol that the server chooses by ALPN, and its certificate's subject. */
function handshake(port: number, alpn: string[] | undefined): Promise<string | false | null> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({ port, host: "127.0.0.1", ca, ...(alpn && { ALPNProtocols: alpn }) }, () => {
      resolve(socket.alpnProtocol);
      socket.destroy();
    });
    socket.on("error", reject);
  });
}

for (const http2 of http2Kinds) {
  describe(`serve({ http2: "${http2}" }) with tls`, () => {
    let server: Server;
    let url: string;
    let port: number;
    before(async () => {
      server = serve({ http2, routes: createEchoService(), tls: serverPair });
      ({ url, port } = await server.ready);
    });
    after(() => server.close());

    test("has an https URL", () => {
      assert.equal(url, `https://127.0.0.1:${port}`);
    });

    test("chooses HTTP/2 before HTTP/1.1 by ALPN, and takes what the client has", async () => {
      assert.equal(await handshake(port, ["http/1.1", "h2"]), "h2");
      assert.equal(await handshake(port, ["http/1.1"]), "http/1.1");
    });

    test("speaks HTTP/1.1 to a client without ALPN, and HTTP/2 to one that asks for it", async () => {
      assert.equal(await get(url), "HTTP/1.1 200 SERVING");
      const session = await openSession(url, { ca });
      assert.equal((await call(session, { ":path": "/healthz" })).body.toString(), "SERVING");
      assert.equal(session.alpnProtocol, "h2");
      session.destroy();
    });

    test("survives cleartext and broken handshakes, and goes on serving", async () => {
      for (const bytes of ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "\x16\x03\x01", ""]) {
        const socket = connect(port, "127.0.0.1");
        socket.on("error", () => {});
        const closed = new Promise((resolve) => socket.once("close", resolve));
        await new Promise((resolve) => socket.once("connect", resolve));
        socket.resume();
        socket.end(bytes);
        await closed;
      }
      assert.equal(await get(url), "HTTP/1.1 200 SERVING");
    });
  });

  describe(`serve({ http2: "${http2}" }) with tls.requireClientCert`, () => {
    let server: Server;
    let url: string;
    before(async () => {
      server = serve({ http2, routes: createEchoService(), tls: { ...serverPair, ca, requireClientCert: true } });
      ({ url } = await server.ready);
    });
    after(() => server.close());

    test("serves clients whose certificate its authority signed, over both HTTP versions", async () => {
      assert.equal(await get(url, clientPair), "HTTP/1.1 200 SERVING");
      const session = await openSession(url, { ca, ...clientPair });
      assert.equal((await call(session, { ":path": "/healthz" })).status, 200);
      session.destroy();
    });

    test("refuses clients without one, and with one of another authority", async () => {
      await assert.rejects(get(url));
      await assert.rejects(get(url, stranger));
    });
  });

  describe(`serve({ http2: "${http2}" }) with tls.requestClientCert`, () => {
    let server: Server;
    let url: string;
    before(async () => {
      server = serve({ http2, routes: createEchoService(), tls: { ...serverPair, ca, requestClientCert: true } });
      ({ url } = await server.ready);
    });
    after(() => server.close());

    test("serves clients whose certificate its authority signed, and those without one", async () => {
      assert.equal(await get(url, clientPair), "HTTP/1.1 200 SERVING");
      assert.equal(await get(url), "HTTP/1.1 200 SERVING");
      const session = await openSession(url, { ca });
      assert.equal((await call(session, { ":path": "/healthz" })).status, 200);
      session.destroy();
    });

    test("refuses clients with a certificate of another authority", async () => {
      await assert.rejects(get(url, stranger));
    });
  });
}

describe('serve({ http2: "lictor" }) with tls', () => {
  let server: Server;
  before(() => {
    server = serve({ http2: "lictor", routes: createEchoService(), tls: serverPair });
  });
  after(() => server.close());

  test("speaks HTTP/2 to a client without ALPN that begins it, and gRPC on it", async () => {
    const { url } = await server.ready;
    await using transport = createBalancedTransport({
      resolver: createStaticResolver([url]),
      connector: createSocketConnector(openWithoutAlpn),
    });
    const client = createClient(EchoService, transport);
    const payload = new Uint8Array(100_000).fill(7);
    const answer = await client.unary({ text: "no ALPN", payload });
    assert.deepEqual([answer.text, answer.payload], ["no ALPN", payload]);
  });

  test("closes a connection without ALPN that begins neither protocol, and says nothing", async () => {
    const { port } = await server.ready;
    const socket = connectTls({ port, host: "127.0.0.1", ca }, () => socket.write("HELO mail.example SMTP\r\n"));
    socket.on("error", () => {});
    let answer = "";
    socket.on("data", (chunk) => {
      answer += chunk;
    });
    await new Promise((resolve) => socket.once("close", resolve));
    assert.equal(answer, "");
  });
});

describe("createTlsFront() closes connections whose handshake fails, and tells the logger of their peer and the reason", () => {
  const overTls = (options: { cert?: string; key?: string }) => (port: number) =>
    connectTls({ port, host: "127.0.0.1", ca, ...options });
  const overTcp = (text: string) => (port: number) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(text));
    return socket;
  };
  for (const [name, open, reason] of [
    ["one without a certificate", overTls({}), /not.return.a.certificate|no certificates/i],
    ["one with a certificate of another authority", overTls(stranger), /UNABLE_TO_VERIFY|unable to verify/],
    ["one in cleartext", overTcp("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), /http.request|corrupt message/i],
    ["one that says nothing", overTcp(""), /timeout/i],
  ] as const) {
    test(name, async () => {
      const logger = createRecordingLogger();
      const front = createTlsFront({ ...serverPair, ca, requireClientCert: true }, 200, logger, () => {});
      await new Promise<void>((resolve) => front.listen(0, "127.0.0.1", resolve));
      const { port } = front.address() as AddressInfo;
      const socket = open(port);
      socket.on("error", () => {});
      socket.resume();
      let peer = "";
      socket.once("connect", () => {
        peer = `127.0.0.1:${socket.localPort}`;
      });
      await new Promise((resolve) => socket.once("close", resolve));
      await eventually("a line", () => logger.lines.length > 0);
      await new Promise((resolve) => front.close(resolve));
      const [line, ...more] = logger.lines;
      assert.deepEqual(more, []);
      assert.deepEqual([line?.level, line?.message, line?.fields.peer], ["debug", "TLS handshake failed", peer]);
      assert.match(String(line?.fields.error), reason);
    });
  }
});

describe("serve()", () => {
  test("throws TypeError for a bad certificate or key before any port is open, and does not show the key", () => {
    const { cert, key } = serverPair;
    for (const [tls, option] of [
      [{ cert: "no certificate", key }, "tls.cert"],
      [{ cert, key: "SECRET no key" }, "tls.key"],
      [{ cert, key: clientPair.key }, "tls.key"],
    ] as const) {
      assert.throws(
        () => serve({ routes: createEchoService(), tls }),
        (error: unknown) =>
          error instanceof TypeError && error.message.includes(option) && !error.message.includes("SECRET"),
      );
    }
  });

  for (const http2 of http2Kinds)
    test(`drains TLS connections as it does others, and ends those in their handshake, http2: "${http2}"`, async () => {
      const server = serve({ http2, routes: createEchoService(), tls: serverPair });
      const { url, port } = await server.ready;
      const session = await openSession(url, { ca });
      await call(session, { ":path": "/healthz" });
      const shaking = connect(port, "127.0.0.1");
      shaking.on("error", () => {});
      await new Promise((resolve) => shaking.once("connect", resolve));
      const gone = Promise.all([session, shaking].map((one) => new Promise((resolve) => one.once("close", resolve))));
      shaking.resume();
      const { tookMs } = await server.drain();
      assert.ok(tookMs < 1500, `${tookMs} ms`);
      await gone;
    });
});
