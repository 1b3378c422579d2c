// Calls of every kind that end in every way, at random over real sockets, at a server with few places: in the end nobody holds one.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { createHttp2Connector } from "../../../src/connector/http2-connector.ts";
import { createStaticResolver } from "../../../src/resolver/static-resolver.ts";
import { serve } from "../../../src/server/serve.ts";
import { type BalancedTransport, createBalancedTransport } from "../../../src/transport/balanced-transport.ts";
import { EchoService } from "../../gen/lictor/test/v1/echo_pb.ts";
import { pause, until } from "../../support/eventually.ts";
import { http2Kinds } from "../../support/http2-kinds.ts";
import { seededRandom } from "../../support/seeded-random.ts";

const behaviours = ["at once", "later", "throws", "rejects", "late", "heeds its signal"] as const;

async function behave(text: string, signal: AbortSignal): Promise<{ text: string }> {
  switch (text) {
    case "later":
      await pause(5);
      break;
    case "rejects":
      await pause(1);
      throw new ConnectError("no", Code.Internal);
    case "late":
      await pause(60);
      break;
    case "heeds its signal":
      await new Promise<void>((resolve) => {
        if (signal.aborted) resolve();
        signal.addEventListener("abort", () => resolve());
      });
      throw signal.reason;
  }
  return { text };
}

for (const http2 of http2Kinds) {
  for (const maxConcurrentCalls of [3, "adaptive"] as const) {
    test(`serve({ http2: "${http2}", overload: { maxConcurrentCalls: ${maxConcurrentCalls} } }) lets go of every place in the end`, async () => {
      const { random, seed } = seededRandom();
      const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
      await using server = serve({
        graceMs: 0,
        http2,
        overload: { maxConcurrentCalls, queueTimeoutMs: 30, streamWeight: 0.5 },
        routes: (router) =>
          router.service(EchoService, {
            unary({ text }, { signal }) {
              if (text === "throws") throw new ConnectError("no", Code.Internal);
              return text === "at once" ? { text } : behave(text, signal);
            },
            async *bidi(requests, { signal }) {
              for await (const { text } of requests) yield await behave(text, signal);
            },
          }),
      });
      const { url: baseUrl } = await server.ready;
      const opened: BalancedTransport[] = [];
      const grpc = (): BalancedTransport => {
        const transport = createBalancedTransport({
          resolver: createStaticResolver([baseUrl]),
          connector: createHttp2Connector(),
          retry: false,
          closeGraceMs: 0,
        });
        opened.push(transport);
        return transport;
      };
      const ours = [grpc(), grpc()];
      const connect: Transport = createConnectTransport({ baseUrl, httpVersion: "1.1" });
      const one = async (): Promise<void> => {
        const at = Math.floor(random() * 3);
        const client = createClient(EchoService, ours[at] ?? connect);
        const leave = new AbortController();
        const options = {
          // Sooner or later every call ends.
          timeoutMs: 10 + Math.floor(random() * 90),
          signal: leave.signal,
        };
        if (random() < 0.3) void pause(random() * 20).then(() => leave.abort());
        // A connection is lost with whatever is on it.
        if (random() < 0.02) {
          void ours[at]?.close();
          if (at < 2) ours[at] = grpc();
        }
        try {
          if (at === 2 || random() < 0.7) {
            await client.unary({ text: pick(behaviours) }, options);
          } else {
            const texts = [pick(behaviours), pick(behaviours)];
            const requests = async function* () {
              for (const text of texts) yield { text };
            };
            for await (const _ of client.bidi(requests(), options)) if (random() < 0.2) break;
          }
        } catch {
          // However it ends.
        }
      };
      const worker = async (): Promise<void> => {
        // As long as it takes on a machine that stands still, where calls end by their deadlines before they are sent.
        const hasShed = (): boolean => maxConcurrentCalls !== 3 || (server.stats().overload?.shed ?? 0) > 0;
        for (let round = 0; round < 12 || (round < 120 && !hasShed()); round++) await one();
      };
      await Promise.all(Array.from({ length: 24 }, worker));
      const { overload } = server.stats();
      assert.ok(overload !== undefined);
      const left = (): number => {
        const { underWay, overload: now } = server.stats();
        return underWay + (now?.running ?? 0) + (now?.queued ?? 0);
      };
      await Promise.all(opened.map((transport) => transport.close()));
      // A request that its caller has given up may still be on its way.
      await pause(50);
      await until(() => left() === 0, 3000).catch(() => {});
      const stats = JSON.stringify(server.stats());
      assert.equal(left(), 0, `SEED=${seed}: ${stats}`);
      if (maxConcurrentCalls === 3) assert.ok(overload.shed > 0, JSON.stringify(overload));
    });
  }
}
