// Calls from a page to our server on another origin: answers, errors and streams, by both protocols and in both formats.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { serve } from "../../src/server/serve.ts";
import type { Server } from "../../src/server/server.ts";
import { EchoService, UnaryRequestSchema } from "../gen/lictor/test/v1/echo_pb.ts";
import { createEchoService } from "../support/echo-service.ts";
import { chromiumSkip } from "./chromium.ts";
import type { PageFormat } from "./page-kit.ts";
import { startTestBrowser, type TestBrowser, type TestPage } from "./test-browser.ts";

const formats: readonly [name: string, format: PageFormat][] = [
  ["Connect in binary", {}],
  ["Connect in JSON", { useBinaryFormat: false }],
  ["gRPC-Web in binary", { protocol: "grpc-web" }],
  ["gRPC-Web in JSON", { protocol: "grpc-web", useBinaryFormat: false }],
];

describe("a page", { skip: chromiumSkip, timeout: 110_000 }, () => {
  let browser: TestBrowser;
  /** One for all tests: they leave nothing behind in it. */
  let open: TestPage;
  let server: Server;
  let endpoints: readonly string[];
  /** Resolved when the page calls `tell()`. */
  let arrived = Promise.withResolvers<void>();
  before(async () => {
    browser = await startTestBrowser();
    server = serve({
      routes: createEchoService({ server: "one" }),
      cors: {
        origins: [browser.origin],
        allowedHeaders: ["x-echo"],
        exposedHeaders: ["x-echo-header", "trailer-x-echo-trailer", "x-echo-error"],
      },
    });
    endpoints = [(await server.ready).url];
    open = await browser.openPage();
    await open.page.exposeFunction("tell", () => arrived.resolve());
  });
  after(async () => {
    try {
      await open?.[Symbol.asyncDispose]();
    } finally {
      await server?.close();
      await browser?.[Symbol.asyncDispose]();
    }
  });

  for (const [name, format] of formats) {
    const options = () => ({ ...format, endpoints });

    test(`gets an answer with its headers and trailers, ${name}`, async () => {
      const answer = await open.page.evaluate(async (given) => {
        const seen: Record<string, string | null> = {};
        const {
          text,
          payload,
          server: by,
        } = await kit.echo(given).unary(
          { text: "hé", payload: new Uint8Array([1, 2, 255]) },
          {
            headers: { "x-echo": "yes" },
            onHeader: (header) => {
              seen.header = header.get("x-echo-header");
            },
            onTrailer: (trailer) => {
              seen.trailer = trailer.get("x-echo-trailer");
            },
          },
        );
        const { text: idempotent } = await kit.echo(given).unaryIdempotent({ text: "again" });
        return { ...seen, text, payload: [...payload], by, idempotent };
      }, options());
      const expected = { text: "hé", payload: [1, 2, 255], by: "one", idempotent: "again" };
      assert.deepEqual(answer, { header: "yes", trailer: "yes", ...expected });
    });

    test(`reads the metadata of an error, ${name}`, async () => {
      const failure = await open.page.evaluate(async (given) => {
        return kit.failure(kit.echo(given).unary({ failCode: kit.Code.FailedPrecondition }));
      }, options());
      assert.equal(failure.code, "FailedPrecondition");
      assert.equal(failure.message, "asked to fail");
      assert.equal(failure.metadata["x-echo-error"], "yes");
    });

    test(`reads a stream, and the error at its end, ${name}`, async () => {
      const { texts, failure } = await open.page.evaluate(async (given) => {
        const read: string[] = [];
        const stream = async () => {
          const order = { text: "s", count: 3, failCode: kit.Code.DataLoss };
          for await (const { text, index } of kit.echo(given).serverStream(order)) read.push(text + index);
        };
        const error = await kit.failure(stream());
        return { texts: read, failure: error };
      }, options());
      assert.deepEqual(texts, ["s0", "s1", "s2"]);
      assert.equal(failure.code, "DataLoss");
      assert.equal(failure.message, "asked to fail");
      assert.equal(failure.metadata["x-echo-error"], "yes");
    });

    test(`sends and gets messages of 2 MiB, ${name}`, async () => {
      const echoed = await open.page.evaluate(async (given) => {
        const payload = new Uint8Array(2 * 1024 * 1024).map((_, index) => (index * 7919) % 251);
        const answer = await kit.echo(given).unary({ payload });
        return answer.payload.length === payload.length && answer.payload.every((byte, at) => byte === payload[at]);
      }, options());
      assert.equal(echoed, true);
    });
  }

  for (const protocol of ["connect", "grpc-web"] as const) {
    test(`reads the details of an error, ${protocol}`, async () => {
      await using failing = serve({
        cors: [browser.origin],
        routes: (router) => {
          router.service(EchoService, {
            unary() {
              const details = [{ desc: UnaryRequestSchema, value: { text: "the detail" } }];
              throw new ConnectError("é: no", Code.ResourceExhausted, undefined, details);
            },
          });
        },
      });
      const { url } = await failing.ready;
      const failure = await open.page.evaluate(async (given) => kit.failure(kit.echo(given).unary({})), {
        protocol,
        endpoints: [url],
      });
      assert.deepEqual(
        [failure.code, failure.message, failure.details],
        ["ResourceExhausted", "é: no", ["the detail"]],
      );
    });

    test(`gets the messages of a stream one by one, ${protocol}`, async () => {
      // The server sends each message when the page has told of the one before: kept back on the way, the stream would stand still.
      await using careful = serve({
        cors: [browser.origin],
        routes: (router) => {
          router.service(EchoService, {
            async *serverStream({ count }) {
              for (let index = 0; index < count; index++) {
                arrived = Promise.withResolvers();
                yield { index };
                await arrived.promise;
              }
            },
          });
        },
      });
      const { url } = await careful.ready;
      const indexes = await open.page.evaluate(
        async (given) => {
          const { tell } = globalThis as unknown as { tell(): Promise<void> };
          const read: number[] = [];
          for await (const { index } of kit.echo(given).serverStream({ count: 5 }, { timeoutMs: 20_000 })) {
            read.push(index);
            await tell();
          }
          return read;
        },
        { protocol, endpoints: [url] },
      );
      assert.deepEqual(indexes, [0, 1, 2, 3, 4]);
    });

    test(`is told that it cannot stream to the server, ${protocol}`, async () => {
      const failure = await open.page.evaluate(
        async (given) => {
          async function* texts() {
            yield { text: "a" };
          }
          return kit.failure(kit.echo(given).clientStream(texts()));
        },
        { protocol, endpoints },
      );
      assert.equal(failure.code, "Unimplemented");
    });
  }
});
