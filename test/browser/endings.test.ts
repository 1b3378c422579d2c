// How calls from a page end before their time: cancelled by the page, by its closing, by their deadline, or with a server that died.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { serve } from "../../src/server/serve.ts";
import type { Server } from "../../src/server/server.ts";
import { createEchoService } from "../support/echo-service.ts";
import { until } from "../support/eventually.ts";
import { chromiumSkip } from "./chromium.ts";
import { startTestBrowser, type TestBrowser } from "./test-browser.ts";

describe("a page's call", { skip: chromiumSkip, timeout: 110_000 }, () => {
  let browser: TestBrowser;
  let server: Server;
  let endpoints: readonly string[];
  /** Signals of the handlers that were called, in their order. */
  let signals: AbortSignal[] = [];
  before(async () => {
    browser = await startTestBrowser();
    server = serve({
      routes: createEchoService({ onCall: (_, signal) => signals.push(signal) }),
      cors: [browser.origin],
      graceMs: 1000,
    });
    endpoints = [(await server.ready).url];
  });
  after(async () => {
    await server?.close();
    await browser?.[Symbol.asyncDispose]();
  });

  const handlerAborted = () => until(() => signals[0]?.aborted === true, 5000, "the handler's signal aborts");

  for (const protocol of ["connect", "grpc-web"] as const) {
    const minute = 60_000;

    test(`is cancelled at the server when the page cancels it, ${protocol}`, async () => {
      signals = [];
      await using open = await browser.openPage();
      const failing = open.page.evaluate(
        async ({ delayMs, ...given }) => {
          return kit.failure(kit.echo(given).unary({ delayMs }, { signal: kit.controller.signal }));
        },
        { protocol, endpoints, delayMs: minute },
      );
      await until(() => signals.length === 1);
      assert.equal(signals[0]?.aborted, false);
      await open.page.evaluate(() => kit.controller.abort());
      assert.equal((await failing).code, "Canceled");
      await handlerAborted();
      assert.equal(signals.length, 1, "not sent again");
    });

    test(`is cancelled at the server when the page cancels a stream after a message, ${protocol}`, async () => {
      signals = [];
      await using open = await browser.openPage();
      const { read, failure } = await open.page.evaluate(
        async (given) => {
          const { signal } = kit.controller;
          let messages = 0;
          const stream = async () => {
            // Far more than the server can send before it hears.
            for await (const _ of kit.echo(given).serverStream({ count: 1_000_000, delayMs: 10 }, { signal })) {
              if (++messages === 2) kit.controller.abort();
            }
          };
          const error = await kit.failure(stream());
          return { read: messages, failure: error };
        },
        { protocol, endpoints },
      );
      assert.equal(failure.code, "Canceled");
      assert.equal(read, 2);
      await handlerAborted();
    });

    test(`is cancelled at the server when the page is closed, ${protocol}`, async () => {
      signals = [];
      const open = await browser.openPage();
      const call = open.page.evaluate(
        async ({ delayMs, ...given }) => {
          await kit.echo(given).unary({ delayMs });
        },
        { protocol, endpoints, delayMs: minute },
      );
      const left = assert.rejects(call);
      await until(() => signals.length === 1);
      await open[Symbol.asyncDispose]();
      await left;
      await handlerAborted();
    });

    test(`ends at its deadline, here and at the server, ${protocol}`, async () => {
      await using open = await browser.openPage();
      // The deadline is to pass at the handler, not while the browser asks for permission.
      await open.page.evaluate(async (given) => void (await kit.echo(given).unary({})), { protocol, endpoints });
      signals = [];
      const failures = await open.page.evaluate(
        async ({ delayMs, ...given }) => {
          const client = kit.echo(given);
          const stream = async () => {
            for await (const _ of client.serverStream({ count: 2, delayMs }, { timeoutMs: 1000 }));
          };
          return Promise.all([kit.failure(client.unary({ delayMs }, { timeoutMs: 1000 })), kit.failure(stream())]);
        },
        { protocol, endpoints, delayMs: minute },
      );
      assert.deepEqual(
        failures.map(({ code }) => code),
        ["DeadlineExceeded", "DeadlineExceeded"],
      );
      await until(() => signals.length === 2 && signals.every(({ aborted }) => aborted), 5000);
    });

    test(`goes to the other server when one died, if it is safe to send it again, ${protocol}`, async () => {
      const start = (name: string) =>
        serve({ routes: createEchoService({ server: name }), cors: [browser.origin], graceMs: 0 });
      await using staying = start("staying");
      await using dying = start("dying");
      const urls = [(await staying.ready).url, (await dying.ready).url];
      await using open = await browser.openPage();
      const both = await open.page.evaluate(
        async (given) => {
          const client = kit.echo(given);
          Object.assign(globalThis, { client });
          const servers: string[] = [];
          for (let call = 0; call < 4; call++) servers.push((await client.unaryIdempotent({})).server);
          return servers;
        },
        { protocol, endpoints: urls },
      );
      assert.deepEqual(both.toSorted(), ["dying", "dying", "staying", "staying"]);
      assert.notEqual(both[0], both[1]);

      await dying.close();
      const one = await open.page.evaluate(async () => {
        const { client } = globalThis as unknown as { client: ReturnType<typeof kit.echo> };
        const servers: string[] = [];
        for (let call = 0; call < 6; call++) servers.push((await client.unaryIdempotent({})).server);
        return servers;
      });
      assert.deepEqual(
        one,
        Array.from({ length: 6 }, () => "staying"),
      );
    });

    test(`fails with unavailable, and says with whom, when nobody listens, ${protocol}`, async () => {
      const gone = serve({ routes: createEchoService(), cors: [browser.origin] });
      const { url } = await gone.ready;
      await gone.close();
      await using open = await browser.openPage();
      const failure = await open.page.evaluate(async (given) => kit.failure(kit.echo(given).unaryIdempotent({})), {
        protocol,
        endpoints: [url],
      });
      assert.equal(failure.code, "Unavailable");
      assert.ok(failure.message.includes(url), failure.message);
    });
  }
});
