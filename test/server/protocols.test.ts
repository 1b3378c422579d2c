import assert from "node:assert/strict";
import { Agent, request } from "node:http";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import { HelloService } from "../../gen/HelloService_proto/hello_service_pb.ts";
import { createHelloService } from "../../src/hello/hello-service.ts";
import { serve } from "../../src/server/serve.ts";
import type { Server } from "../../src/server/server.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { askInTurn } from "../support/ask-in-turn.ts";
import { makeCertificates } from "../support/certificates.ts";
import { createEchoService } from "../support/echo-service.ts";
import { http2Kinds } from "../support/http2-kinds.ts";

const protocols = { gRPC: createGrpcTransport, "gRPC-Web": createGrpcWebTransport, Connect: createConnectTransport };
const certificates = makeCertificates();

/** A transport of one protocol over one HTTP version, and what closes it. */
function open(
  protocol: keyof typeof protocols,
  httpVersion: "1.1" | "2",
  url: string,
  extra: { useHttpGet?: boolean } = {},
): { transport: Transport; close: () => void } {
  const nodeOptions = { ca: certificates.ca };
  if (httpVersion === "1.1") {
    return {
      transport: protocols[protocol]({ baseUrl: url, httpVersion, nodeOptions, ...extra }),
      close: () => {},
    };
  }
  const sessionManager = new Http2SessionManager(url, {}, nodeOptions);
  return {
    transport: protocols[protocol]({ baseUrl: url, httpVersion, sessionManager, ...extra }),
    close: () => sessionManager.abort(),
  };
}

for (const [secure, http2] of [false, true].flatMap((secure) => http2Kinds.map((kind) => [secure, kind] as const))) {
  describe(`serve({ http2: "${http2}" }) ${secure ? "with TLS" : "in cleartext"}`, () => {
    let server: Server;
    let url: string;
    before(async () => {
      server = serve({
        http2,
        routes: createEchoService({ server: "one" }),
        ...(secure && { tls: certificates.server }),
        graceMs: 500,
      });
      ({ url } = await server.ready);
    });
    after(() => server.close());

    for (const httpVersion of ["2", "1.1"] as const) {
      for (const protocol of ["gRPC", "gRPC-Web", "Connect"] as const) {
        // gRPC is HTTP/2 only; connect-node can send it by HTTP/1.1, which no other implementation does.
        if (protocol === "gRPC" && httpVersion === "1.1") continue;
        if (httpVersion === "1.1" && http2 !== http2Kinds[0]) continue;
        const name = `${protocol} over HTTP/${httpVersion}`;

        test(`answers a unary call with headers and trailers, ${name}`, async () => {
          const { transport, close } = open(protocol, httpVersion, url);
          const headers = new Headers();
          const trailers = new Headers();
          const answer = await createClient(EchoService, transport).unary(
            { text: "hé", payload: new Uint8Array([1, 2, 3]) },
            {
              headers: { "x-echo": "yes" },
              onHeader: (header) => headers.set("x", header.get("x-echo-header") ?? ""),
              onTrailer: (trailer) => trailers.set("x", trailer.get("x-echo-trailer") ?? ""),
            },
          );
          assert.equal(answer.text, "hé");
          assert.deepEqual([...answer.payload], [1, 2, 3]);
          assert.equal(answer.server, "one");
          assert.equal(headers.get("x"), "yes");
          assert.equal(trailers.get("x"), "yes");
          close();
        });

        test(`answers with the handler's error and its metadata, ${name}`, async () => {
          const { transport, close } = open(protocol, httpVersion, url);
          await assert.rejects(
            createClient(EchoService, transport).unary({ failCode: Code.FailedPrecondition }),
            (error: unknown) =>
              error instanceof ConnectError &&
              error.code === Code.FailedPrecondition &&
              error.rawMessage === "asked to fail" &&
              error.metadata.get("x-echo-error") === "yes",
          );
          close();
        });

        test(`streams from the server and its error after the last message, ${name}`, async () => {
          const { transport, close } = open(protocol, httpVersion, url);
          const indexes: number[] = [];
          await assert.rejects(
            async () => {
              const order = { text: "s", count: 5, failCode: Code.DataLoss };
              for await (const { index } of createClient(EchoService, transport).serverStream(order)) {
                indexes.push(index);
              }
            },
            (error: unknown) => ConnectError.from(error).code === Code.DataLoss,
          );
          assert.deepEqual(indexes, [0, 1, 2, 3, 4]);
          close();
        });

        test(`takes a client's stream, ${name}`, async () => {
          const { transport, close } = open(protocol, httpVersion, url);
          const answer = await createClient(EchoService, transport).clientStream(
            (async function* () {
              for (const text of ["a", "b", "c"]) yield { text };
            })(),
          );
          assert.equal(answer.text, "a,b,c");
          close();
        });

        if (httpVersion === "2") {
          test(`streams both ways, each answer before the next question, ${name}`, async () => {
            const { transport, close } = open(protocol, httpVersion, url);
            assert.deepEqual(await askInTurn(transport, ["a", "b", "c"]), ["a", "b", "c"]);
            close();
          });
        }

        // On Deno connect-node's gRPC-Web client reads large answers with "premature close", whoever serves them (2.9.6).
        if ("deno" in process.versions && protocol === "gRPC-Web" && httpVersion === "2") continue;

        test(`carries messages of 3 MiB both ways, ${name}`, async () => {
          const { transport, close } = open(protocol, httpVersion, url);
          const payload = new Uint8Array(3 * 1024 * 1024).map((_, index) => (index * 7919) % 251);
          const answer = await createClient(EchoService, transport).unary({ payload });
          assert.equal(Buffer.compare(answer.payload, payload), 0);
          close();
        });

        test(`refuses messages beyond 4 MiB with resource_exhausted, ${name}`, async () => {
          const { transport, close } = open(protocol, httpVersion, url);
          const client = createClient(EchoService, transport);
          await assert.rejects(
            client.unary({ payload: new Uint8Array(4 * 1024 * 1024 + 1) }),
            (error: unknown) => ConnectError.from(error).code === Code.ResourceExhausted,
          );
          assert.equal((await client.unary({ text: "still there" })).text, "still there");
          close();
        });
      }
    }
  });
}

describe("serve() with HelloService", () => {
  let server: Server;
  let url: string;
  let address: string;
  before(async () => {
    server = serve({ routes: createHelloService() });
    const { url: listening, announced } = await server.ready;
    url = listening;
    address = `${announced.host}:${announced.port}`;
  });
  after(() => server.close());

  test("keeps an HTTP/1.1 connection for the next call", async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const ports = new Set<number | undefined>();
    for (let call = 0; call < 3; call++) {
      await new Promise<void>((resolve, reject) => {
        request(`${url}/healthz`, { agent }, (response) => {
          ports.add(response.socket.localPort);
          response.resume().on("end", resolve);
        })
          .on("error", reject)
          .end();
      });
    }
    agent.destroy();
    assert.equal(ports.size, 1);
  });

  test("answers a JSON POST as curl sends it", async () => {
    const response = await fetch(`${url}/HelloService_proto.HelloService/SayHello`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ name: "curl", num1: 2147483647, num2: 1 }),
    });
    assert.equal(response.status, 200);
    assert.deepEqual(await response.json(), {
      message: `Hello! curl!This is Server: ${address}`,
      result: -2147483648,
    });
  });

  test("answers Connect's GET where the method has no side effects", async () => {
    const message = encodeURIComponent(JSON.stringify({ name: "get", num1: 1, num2: 2 }));
    const response = await fetch(
      `${url}/HelloService_proto.HelloService/SayHello?connect=v1&encoding=json&message=${message}`,
    );
    assert.equal(response.status, 200);
    assert.equal(((await response.json()) as { result: number }).result, 3);
  });

  for (const httpVersion of ["2", "1.1"] as const) {
    test(`uses GET with a connect-node transport that asks for it, over HTTP/${httpVersion}`, async () => {
      const { transport, close } = open("Connect", httpVersion, url, { useHttpGet: true });
      const seen: string[] = [];
      const client = createClient(HelloService, {
        ...transport,
        unary: async (...call) => {
          const response = await transport.unary(...call);
          seen.push(response.header.get("vary") ?? "");
          return response;
        },
      });
      assert.equal((await client.sayHello({ num1: 20, num2: 22 })).result, 42);
      // Answers to GET say what they vary by; those to POST need not.
      assert.deepEqual(seen, ["Accept-Encoding"]);
      close();
    });
  }
});
