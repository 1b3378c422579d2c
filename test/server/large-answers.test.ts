// Many large answers at once: more than a connection lets wait. None is refused, and small ones get through.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { createHttp2Connector } from "../../src/connector/http2-connector.ts";
import { defaultLimits } from "../../src/http2/connection.ts";
import { createStaticResolver } from "../../src/resolver/static-resolver.ts";
import { serve } from "../../src/server/serve.ts";
import type { Server } from "../../src/server/server.ts";
import { type BalancedTransport, createBalancedTransport } from "../../src/transport/balanced-transport.ts";
import { AttackService } from "../gen/lictor/test/v1/attack_pb.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { createEchoService } from "../support/echo-service.ts";

const mebibyte = 1024 * 1024;
const { maxPendingBytes } = defaultLimits;
/** More than twice what may wait, as much is reset. */
const answers = (2.5 * maxPendingBytes) / mebibyte;

describe("serve()", () => {
  let server: Server;
  let client: BalancedTransport;
  let payload = new Uint8Array(0);
  let arrived = 0;
  let expected = 0;
  let letGo = (): void => {};
  let allArrived = Promise.resolve();

  /** The handlers answer in one turn, when as many calls have come. */
  const expect = (calls: number, bytes: number): void => {
    payload = new Uint8Array(bytes);
    arrived = 0;
    expected = calls;
    allArrived = new Promise((resolve) => {
      letGo = resolve;
    });
  };
  const arrive = async (): Promise<void> => {
    if (++arrived === expected) letGo();
    await allArrived;
  };

  before(async () => {
    server = serve({
      routes(router) {
        createEchoService()(router);
        router.service(AttackService, {
          hang: () => new Promise(() => {}),
          upload: async () => ({}),
          async large() {
            await arrive();
            return { payload };
          },
          async *largeStream() {
            await arrive();
            yield { payload };
            yield { payload };
          },
        });
      },
    });
    const { url } = await server.ready;
    client = createBalancedTransport({
      resolver: createStaticResolver([url]),
      connector: createHttp2Connector({ acceptCompression: [], maxReceiveBytes: 1024 * mebibyte }),
    });
  });
  after(async () => {
    await client.close();
    await server.close();
  });

  const requests = async function* () {};

  async function callAll(transport: Transport): Promise<void> {
    expect(answers, mebibyte);
    const large = createClient(AttackService, transport);
    const calls = Array.from({ length: answers }, () => large.large(requests()));
    for (const { payload: answer } of await Promise.all(calls)) assert.equal(answer.length, mebibyte);
  }

  test("answers many large gRPC calls at once, and small ones meanwhile", async () => {
    const echo = createClient(EchoService, client);
    let isOver = false;
    const small = (async () => {
      for (; !isOver; ) await echo.unary({ text: "small" });
    })();
    try {
      await callAll(client);
    } finally {
      isOver = true;
    }
    await small;
  });

  test("streams many large messages at once", async () => {
    expect(answers, mebibyte);
    const large = createClient(AttackService, client);
    const lengths = await Promise.all(
      Array.from({ length: answers }, async () => {
        let length = 0;
        for await (const message of large.largeStream(requests())) length += message.payload.length;
        return length;
      }),
    );
    assert.deepEqual(new Set(lengths), new Set([2 * mebibyte]));
  });

  test("answers many large calls of Connect at once", async () => {
    const baseUrl = (await server.ready).url;
    const sessionManager = new Http2SessionManager(baseUrl);
    await callAll(createConnectTransport({ baseUrl, httpVersion: "2", sessionManager, acceptCompression: [] }));
    sessionManager.abort();
  });

  test("answers with one message that is larger than all that may wait", async () => {
    const bytes = 3 * maxPendingBytes;
    expect(1, bytes);
    const answer = await createClient(AttackService, client).large(requests());
    assert.equal(answer.payload.length, bytes);
  });
});
