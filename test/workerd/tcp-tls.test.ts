// TLS from workerd's sockets: it has no ALPN, so https is refused unless the user says that the server does without.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import { createServer, type Server } from "node:tls";
import { serve } from "../../src/server/serve.ts";
import type { Server as OwnServer } from "../../src/server/server.ts";
import { makeCertificates } from "../support/certificates.ts";
import { createEchoService } from "../support/echo-service.ts";
import { type ServerKind, type StartedServer, serverKinds } from "./tcp-servers.ts";
import type { TcpCallReport } from "./tcp-worker.ts";
import type { TestWorkers } from "./workerd.ts";

describe("TLS over TCP from workerd", { timeout: 60_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "lictor-workerd-tls-"));
  const alpn: (string | false | null)[] = [];
  let server: StartedServer;
  let front: Server;
  let own: OwnServer;
  let workers: TestWorkers;
  before(async () => {
    const { ca, server: pair } = makeCertificates();
    // Read by miniflare when it is imported.
    process.env.NODE_EXTRA_CA_CERTS = join(folder, "ca.pem");
    writeFileSync(process.env.NODE_EXTRA_CA_CERTS, ca);
    const { startWorkers } = await import("./workerd.ts");
    server = await (serverKinds[0] as ServerKind).start("a");
    front = createServer({ ...pair, ALPNProtocols: ["h2"] }, (socket) => {
      alpn.push(socket.alpnProtocol);
      const inner = connect(server.port, "127.0.0.1");
      socket.on("error", () => inner.destroy()).pipe(inner);
      inner.on("error", () => socket.destroy()).pipe(socket);
    });
    await new Promise<void>((resolve) => front.listen(0, "127.0.0.1", resolve));
    own = serve({ http2: "lictor", routes: createEchoService(), tls: pair, graceMs: 100 });
    const ownEndpoints = [`https://localhost:${(await own.ready).port}`];
    const endpoints = [`https://localhost:${(front.address() as AddressInfo).port}`];
    const bindings = (options: object) => ({
      bindings: { OPTIONS: options, OBJECT_OPTIONS: options },
      durableObjects: { SESSIONS: "Sessions" },
    });
    workers = await startWorkers("test/workerd/tcp-worker.ts", [
      { name: "strict", ...bindings({ endpoints }) },
      { name: "without", ...bindings({ endpoints, tlsWithoutAlpn: true }) },
      { name: "own", ...bindings({ endpoints: ownEndpoints, tlsWithoutAlpn: true }) },
    ]);
  });
  after(async () => {
    await workers?.[Symbol.asyncDispose]();
    front?.close();
    await own?.close();
    await server?.close();
    rmSync(folder, { recursive: true });
  });

  for (const via of ["", "?object=x"]) {
    test(`https is refused, with the reason${via && " (object)"}`, async () => {
      const [report] = await workers.ask<TcpCallReport[]>(`/unary${via}`, "strict");
      assert.equal(report?.error?.code, "Unavailable");
      assert.match(report?.error?.message ?? "", /Workers' sockets offer no ALPN.*RFC 9113.*tlsWithoutAlpn/);
      assert.deepEqual(alpn, [], "nothing was sent");
    });
  }

  test("https is spoken without ALPN where the user says so", async () => {
    for (const via of ["", "&object=x"]) {
      const [report] = await workers.ask<TcpCallReport[]>(`/unary?text=tls&bytes=300000${via}`, "without");
      assert.deepEqual([report?.texts, report?.payloadBytes, report?.error], [["tls"], 300_000, undefined]);
    }
    // The reason for it all: once workerd offers h2, https need not be refused any more.
    assert.deepEqual(alpn, [false, false]);
  });

  test("https is spoken without ALPN to serve({ tls }), which tells HTTP/2 by its first bytes", async () => {
    for (const via of ["", "&object=x"]) {
      const [report] = await workers.ask<TcpCallReport[]>(`/unary?text=tls&bytes=300000${via}`, "own");
      assert.deepEqual([report?.texts, report?.payloadBytes, report?.error], [["tls"], 300_000, undefined]);
    }
  });
});
