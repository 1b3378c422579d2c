// What connections tell of themselves beside their state: how many calls there are and were, and whether the server answers a PING.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import type { Connection } from "../../src/transport/connector.ts";
import { countedConnection } from "../../src/transport/pool/counted-connection.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { connectorKinds } from "../support/connector-kinds.ts";
import { type EchoServer, startEchoServer } from "../support/echo-server.ts";
import { endpoint } from "../support/endpoints.ts";
import { until } from "../support/eventually.ts";
import { rejection } from "../support/rejection.ts";

for (const kind of connectorKinds) {
  describe(`${kind.name}()`, () => {
    async function connect(server: EchoServer): Promise<Connection> {
      const ready = Promise.withResolvers<void>();
      const url = `http://${server.address.host}:${server.address.port}`;
      const connection = kind.create()(endpoint("echo", { url }), {
        onState: ({ type }) => type === "ready" && ready.resolve(),
      });
      connection.connect();
      await ready.promise;
      return connection;
    }

    test("makes connections whose calls are counted", async () => {
      await using server = await startEchoServer("echo");
      const connection = countedConnection(await connect(server));
      const { counts } = connection;
      const client = createClient(EchoService, connection.transport);
      await Promise.all([client.unary({ text: "a" }), client.unary({ text: "b" })]);
      const seen = () => [counts.ok, counts.active, counts.unaryActive, counts.unaryEnded];
      await until(() => counts.active === 0);
      assert.deepEqual(seen(), [2, 0, 0, 2]);

      const controller = new AbortController();
      const hanging = rejection(client.unary({ text: "c", delayMs: 60_000 }, { signal: controller.signal }));
      await until(() => counts.active === 1);
      assert.equal(counts.unaryActive, 1);
      controller.abort();
      await hanging;
      await until(() => counts.active === 0);
      assert.deepEqual(seen(), [2, 0, 0, 3]);

      for await (const _ of client.serverStream({ text: "d", count: 3 })) assert.equal(counts.unaryActive, 0);
      await until(() => counts.active === 0);
      assert.deepEqual(seen(), [3, 0, 0, 3]);
      await connection.close();
    });

    test("makes connections whose streams leave nothing behind on a signal, and end with their deadline though nobody reads", async () => {
      await using server = await startEchoServer("echo");
      const connection = countedConnection(await connect(server));
      const client = createClient(EchoService, connection.transport);
      const { signal } = new AbortController();
      const listeners = new Set<unknown>();
      const { addEventListener, removeEventListener } = signal;
      signal.addEventListener = (...args: [string, never, AddEventListenerOptions?]) => {
        listeners.add(args[1]);
        addEventListener.apply(signal, args);
      };
      signal.removeEventListener = (...args: [string, never]) => {
        listeners.delete(args[1]);
        removeEventListener.apply(signal, args);
      };
      for await (const _ of client.serverStream({ text: "a", count: 2 }, { signal }));
      await until(() => listeners.size === 0);
      const unread = client.serverStream({ text: "b", count: 100, delayMs: 20 }, { timeoutMs: 100 });
      await unread[Symbol.asyncIterator]().next();
      assert.equal(connection.counts.active, 1);
      await until(() => connection.counts.active === 0);
      await connection.close();
    });

    test("makes connections that send a PING and say when it is answered", async () => {
      await using server = await startEchoServer("echo");
      const connection = await connect(server);
      const answered = Promise.withResolvers<void>();
      connection.ping?.(() => answered.resolve());
      await answered.promise;
      await connection.close();
      connection.ping?.(() => assert.fail("answered after the end"));
    });
  });
}
