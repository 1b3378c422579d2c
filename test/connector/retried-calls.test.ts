// Calls that are made again, over sockets: what real servers and cut connections say, by both connectors.

import assert from "node:assert/strict";
import { connect, createServer, type Socket } from "node:net";
import { describe, test } from "node:test";
import { Code, ConnectError, type ConnectRouter, createClient } from "@connectrpc/connect";
import { callFate } from "../../src/core/call-fate.ts";
import { createStaticResolver } from "../../src/resolver/static-resolver.ts";
import { serve } from "../../src/server/serve.ts";
import { createBalancedTransport } from "../../src/transport/balanced-transport.ts";
import { callAttempts } from "../../src/transport/retry/call-attempts.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { connectorKinds } from "../support/connector-kinds.ts";
import { listenOnLoopback } from "../support/loopback.ts";
import { rejection } from "../support/rejection.ts";

/** What a server is told of an attempt. */
interface Seen {
  readonly server: string;
  readonly previous: string | null;
}

/** Two servers whose first answers fail as `fail` says; it may cut every connection to them. */
async function startFailing(stack: AsyncDisposableStack, fail: (seen: readonly Seen[], cut: () => void) => void) {
  const seen: Seen[] = [];
  const sockets = new Set<Socket>();
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  const urls: string[] = [];
  for (const name of ["a", "b"]) {
    const routes = (router: ConnectRouter) => {
      router.service(EchoService, {
        unaryIdempotent({ text }, { requestHeader }) {
          seen.push({ server: name, previous: requestHeader.get("grpc-previous-rpc-attempts") });
          fail(seen, cut);
          return { text };
        },
        unary({ text }) {
          seen.push({ server: name, previous: null });
          fail(seen, cut);
          return { text };
        },
      });
    };
    const server = stack.use(serve({ routes, graceMs: 50 }));
    const { port } = await server.ready;
    const proxy = stack.use(
      await listenOnLoopback(
        createServer((near) => {
          const far = connect(port, "127.0.0.1");
          sockets.add(near);
          near.on("error", () => far.destroy()).on("close", () => far.destroy());
          far.on("error", () => near.destroy()).on("close", () => near.destroy());
          near.pipe(far).pipe(near);
        }),
      ),
    );
    urls.push(`http://127.0.0.1:${proxy.port}`);
  }
  return { seen, urls };
}

for (const { name, create } of connectorKinds) {
  describe(`createBalancedTransport() over ${name}()`, () => {
    const open = (stack: AsyncDisposableStack, urls: readonly string[]) => {
      const transport = stack.use(
        createBalancedTransport({
          resolver: createStaticResolver(urls),
          connector: create(),
          backoff: { initialMs: 10 },
          closeGraceMs: 50,
        }),
      );
      return createClient(EchoService, transport);
    };

    test("makes a call again that a server answered with unavailable, elsewhere", async () => {
      await using stack = new AsyncDisposableStack();
      const { seen, urls } = await startFailing(stack, (seen) => {
        if (seen.length < 3) throw new ConnectError("busy", Code.Unavailable);
      });
      assert.equal((await open(stack, urls).unaryIdempotent({ text: "x" })).text, "x");
      assert.equal(seen[0]?.server === seen[1]?.server, false);
      assert.deepEqual(
        seen.map(({ previous }) => previous),
        [null, "1", "2"],
      );
    });

    test("heeds what a server says of retries", async () => {
      await using stack = new AsyncDisposableStack();
      const { seen, urls } = await startFailing(stack, () => {
        throw new ConnectError("busy", Code.Unavailable, { "grpc-retry-pushback-ms": "-1" });
      });
      const error = await rejection(open(stack, urls).unaryIdempotent({ text: "x" }));
      assert.deepEqual([error.rawMessage, callFate(error), callAttempts(error)], ["busy", "answered", 1]);
      assert.equal(seen.length, 1);
    });

    test("makes a call again whose connection was cut, where it may run twice, and says so where it may not", async () => {
      await using stack = new AsyncDisposableStack();
      let cuts = 2;
      const { seen, urls } = await startFailing(stack, (_seen, cut) => {
        if (cuts-- > 0) cut();
      });
      const client = open(stack, urls);
      assert.equal((await client.unaryIdempotent({ text: "x" })).text, "x");
      assert.equal(seen.length, 3);
      cuts = 1;
      const error = await rejection(client.unary({ text: "x" }));
      assert.deepEqual([error.code, callFate(error)], [Code.Unavailable, "maybe-processed"]);
      assert.equal(seen.length, 4);
      // The other connection was cut as well, which its next call may be the first to notice.
      assert.equal((await client.unaryIdempotent({ text: "y" })).text, "y");
    });
  });
}
