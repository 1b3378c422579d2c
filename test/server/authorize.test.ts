import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  Code,
  type ConnectError,
  createClient,
  createConnectRouter,
  createContextKey,
  type Transport,
} from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { Health } from "../../gen/grpc/health/v1/health_pb.ts";
import { createHttp2Connector } from "../../src/connector/http2-connector.ts";
import { createStaticResolver } from "../../src/resolver/static-resolver.ts";
import type { AuthorizeCall } from "../../src/server/authorize.ts";
import { callPeer, type Peer } from "../../src/server/peer.ts";
import { serve } from "../../src/server/serve.ts";
import type { Server } from "../../src/server/server.ts";
import { createBalancedTransport } from "../../src/transport/balanced-transport.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { type CertificatePair, createAuthority } from "../support/authority.ts";
import { loopbackNames } from "../support/certificates.ts";
import { createEchoService } from "../support/echo-service.ts";
import { http2Kinds } from "../support/http2-kinds.ts";
import { createRecordingLogger } from "../support/recording-logger.ts";
import { rejection } from "../support/rejection.ts";

const { ca, issue } = createAuthority("authorize");
const serverPair = issue({ name: "server", altNames: loopbackNames });
const billingId = "spiffe://example.test/ns/default/svc/billing";
const billing = issue({ name: "billing", altNames: [`URI:${billingId}`, "DNS:billing.test"] });
const other = issue({ name: "other", altNames: ["URI:spiffe://example.test/ns/default/svc/other"] });

/** What `authorize` left for the handler. */
const caller = createContextKey("nobody", { description: "caller" });

type OpenTransport = (url: string, own: Partial<CertificatePair>) => Transport & Partial<AsyncDisposable>;

const transports: Readonly<Record<string, OpenTransport>> = {
  "gRPC by our connector": (url, own) =>
    createBalancedTransport({
      resolver: createStaticResolver([url]),
      connector: createHttp2Connector({ tls: { ca, ...own } }),
    }),
  "gRPC by node:http2": (baseUrl, own) => createGrpcTransport({ baseUrl, nodeOptions: { ca, ...own } }),
  "gRPC-Web by HTTP/1.1": (baseUrl, own) =>
    createGrpcWebTransport({ baseUrl, httpVersion: "1.1", nodeOptions: { ca, ...own } }),
  // Not from Deno: where a server answers before it has read the request, its node:https fails the call with "write EPERM" (2.9.6).
  ...("Deno" in globalThis
    ? {}
    : {
        "Connect by HTTP/1.1": (baseUrl: string, own: Partial<CertificatePair>) =>
          createConnectTransport({ baseUrl, httpVersion: "1.1", nodeOptions: { ca, ...own } }),
      }),
  "Connect by HTTP/2": (baseUrl, own) =>
    createConnectTransport({ baseUrl, httpVersion: "2", nodeOptions: { ca, ...own } }),
};

/** By gRPC, of all services and methods. */
async function authorize({ peer, service, method, header, values }: AuthorizeCall): Promise<boolean> {
  if (service.typeName === Health.typeName) return true;
  if (header.get("x-token") === "crash") throw new Error("SECRET");
  if (method.name === "ServerStream") return false;
  values.set(caller, `by ${peer.identity?.subject}`);
  return peer.identity?.spiffeId === billingId;
}

for (const http2 of http2Kinds) {
  describe(`serve({ http2: "${http2}", authorize })`, () => {
    const logger = createRecordingLogger();
    const seen: { readonly peer: Peer | undefined; readonly caller: string }[] = [];
    let server: Server;
    let url: string;
    before(async () => {
      server = serve({
        http2,
        logger,
        graceMs: 100,
        tls: { ...serverPair, ca, requestClientCert: true },
        authorize,
        routes: createEchoService({
          onCall: (_method, _signal, { values }) =>
            seen.push({ peer: values.get(callPeer), caller: values.get(caller) }),
        }),
      });
      ({ url } = await server.ready);
    });
    after(() => server.close());

    /** What happened to a call, by code. */
    async function attempt(call: () => Promise<unknown>): Promise<ConnectError | undefined> {
      try {
        await call();
        return undefined;
      } catch (error) {
        return error as ConnectError;
      }
    }

    for (const [name, open] of Object.entries(transports)) {
      test(`asks before every call: ${name}`, async () => {
        seen.length = 0;
        const transport = open(url, billing);
        const client = createClient(EchoService, transport);
        assert.equal((await client.unary({ text: "a" })).text, "a");
        const [first] = seen;
        assert.equal(first?.caller, "by CN=billing");
        assert.match(first?.peer?.address ?? "", /^127\.0\.0\.1:\d+$/);
        assert.deepEqual(first?.peer?.identity?.uris, [billingId]);
        assert.deepEqual(first?.peer?.identity?.dnsNames, ["billing.test"]);

        const codes: (Code | undefined)[] = [];
        const header = { "x-token": "crash" };
        for (const call of [
          () => client.unary({}, { headers: header }),
          () => createClient(Health, transport).check({}),
          async () => {
            for await (const _ of client.serverStream({ text: "s", count: 1 }));
          },
        ]) {
          codes.push((await attempt(call))?.code);
        }
        assert.deepEqual(codes, [Code.Internal, undefined, Code.PermissionDenied]);
        assert.equal(seen.length, 1);
        await transport[Symbol.asyncDispose]?.();
      });

      test(`refuses who is not known, and who has shown nothing: ${name}`, async () => {
        seen.length = 0;
        const codes: Code[] = [];
        for (const own of [other, {}]) {
          const transport = open(url, own);
          codes.push(
            (await rejection(createClient(EchoService, transport).unary({ payload: new Uint8Array(1e6) }))).code,
          );
          await transport[Symbol.asyncDispose]?.();
        }
        assert.deepEqual(codes, [Code.PermissionDenied, Code.Unauthenticated]);
        assert.deepEqual(seen, []);
      });
    }

    test("tells the logger what was thrown, and nobody else", async () => {
      const transport = transports["Connect by HTTP/2"]?.(url, billing) as Transport;
      const error = await rejection(
        createClient(EchoService, transport).unary({}, { headers: { "x-token": "crash" } }),
      );
      assert.doesNotMatch(JSON.stringify([error.message, error.rawMessage]), /SECRET/);
      const line = logger.lines.findLast(({ message }) => message === "Authorization failed");
      assert.deepEqual(
        [line?.level, line?.fields.method, String(line?.fields.error)],
        ["error", "Unary", "Error: SECRET"],
      );
    });
  });

  describe(`serve({ http2: "${http2}", authorize }) in cleartext`, () => {
    const calls: AuthorizeCall[] = [];
    let answer: unknown = true;
    let server: Server;
    let url: string;
    const own: string[] = [];
    before(async () => {
      server = serve({
        http2,
        graceMs: 100,
        reflection: true,
        authorize: (call) => {
          calls.push(call);
          return answer as boolean;
        },
        routes: (router) => {
          router.service(
            EchoService,
            { unary: ({ text }) => ({ text }) },
            { requestGate: ({ method }) => void own.push(method.name) },
          );
        },
      });
      ({ url } = await server.ready);
    });
    after(() => server.close());

    const overEach = async (run: (transport: Transport) => Promise<void>) => {
      await using grpc = createBalancedTransport({
        resolver: createStaticResolver([url]),
        connector: createHttp2Connector(),
      });
      await run(grpc);
      await run(createConnectTransport({ baseUrl: url, httpVersion: "1.1" }));
    };

    test("knows the address, and no identity", async () => {
      await overEach(async (transport) => {
        calls.length = 0;
        await createClient(EchoService, transport).unary({ text: "x" });
        assert.equal(calls.length, 1);
        const [call] = calls;
        assert.match(call?.peer.address ?? "", /^127\.0\.0\.1:\d+$/);
        assert.equal(call?.peer.identity, undefined);
        assert.equal(call?.signal.aborted, true);
      });
    });

    test("lets nothing but true in, and asks a service's own gate after it", async () => {
      await overEach(async (transport) => {
        for (answer of [undefined, "yes", 1, false]) {
          own.length = 0;
          const error = await rejection(createClient(EchoService, transport).unary({}));
          assert.equal(error.code, Code.PermissionDenied);
          assert.deepEqual(own, []);
        }
        answer = true;
        await createClient(EchoService, transport).unary({});
        assert.deepEqual(own, ["Unary"]);
      });
    });
  });
}

test("serve({ authorize }) takes no handlers that nobody would ask about", () => {
  const other = createConnectRouter().service(EchoService, {});
  assert.throws(
    () => serve({ authorize, routes: (router) => void router.handlers.push(...other.handlers) }),
    TypeError,
  );
});

test("serve() refuses an authorize that is no function", () => {
  assert.throws(() => serve({ routes: createEchoService(), authorize: true as never }), {
    name: "TypeError",
    message: 'Cannot serve as "authorize" must be a function: received true',
  });
});
