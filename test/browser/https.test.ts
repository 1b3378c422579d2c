// A page of an https origin and a server with TLS: the browser then speaks HTTP/2 with it.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { serve } from "../../src/server/serve.ts";
import type { Server } from "../../src/server/server.ts";
import { makeCertificates } from "../support/certificates.ts";
import { createEchoService } from "../support/echo-service.ts";
import { until } from "../support/eventually.ts";
import { chromiumSkip } from "./chromium.ts";
import type { PageSite } from "./page-site.ts";
import { startTestBrowser, type TestBrowser } from "./test-browser.ts";

describe("an https page", { skip: chromiumSkip, timeout: 110_000 }, () => {
  let browser: TestBrowser;
  let site: PageSite;
  let servers: readonly Server[] = [];
  let endpoints: readonly string[];
  let signals: AbortSignal[] = [];
  before(async () => {
    const certificate = makeCertificates().server;
    browser = await startTestBrowser();
    site = await browser.startSite(certificate);
    servers = ["one", "two"].map((name) =>
      serve({
        routes: createEchoService({ server: name, onCall: (_, signal) => signals.push(signal) }),
        tls: certificate,
        cors: [site.origin],
        graceMs: 1000,
      }),
    );
    endpoints = await Promise.all(servers.map(async ({ ready }) => (await ready).url));
  });
  after(async () => {
    await Promise.all(servers.map((server) => server.close()));
    await site?.[Symbol.asyncDispose]();
    await browser?.[Symbol.asyncDispose]();
  });

  for (const protocol of ["connect", "grpc-web"] as const) {
    test(`calls servers in turn over HTTP/2, ${protocol}`, async () => {
      await using open = await browser.openPage(site);
      const session = await open.context.newCDPSession(open.page);
      const spoken = new Set<string | undefined>();
      session.on("Network.responseReceived", ({ response }) => {
        if (endpoints.some((url) => response.url.startsWith(url))) spoken.add(response.protocol);
      });
      await session.send("Network.enable");
      const { unary, streamed } = await open.page.evaluate(
        async (given) => {
          const client = kit.echo(given);
          const answers: string[] = [];
          for (let call = 0; call < 4; call++) answers.push((await client.unary({})).server);
          const texts: string[] = [];
          for await (const { text, index } of client.serverStream({ text: "s", count: 3 })) texts.push(text + index);
          return { unary: answers, streamed: texts };
        },
        { protocol, endpoints },
      );
      assert.deepEqual(unary.slice(0, 2).toSorted(), ["one", "two"]);
      assert.deepEqual(unary.slice(2), unary.slice(0, 2));
      assert.deepEqual(streamed, ["s0", "s1", "s2"]);
      assert.deepEqual([...spoken], ["h2"]);
    });

    test(`cancels one of many calls on a connection, ${protocol}`, async () => {
      signals = [];
      await using open = await browser.openPage(site);
      const failing = open.page.evaluate(
        async (given) => {
          const client = kit.echo(given);
          const cancelled = kit.failure(client.unary({ delayMs: 60_000 }, { signal: kit.controller.signal }));
          return cancelled.then(async ({ code }) => [code, (await client.unary({ text: "still there" })).text]);
        },
        { protocol, endpoints: endpoints.slice(0, 1) },
      );
      await until(() => signals.length === 1);
      await open.page.evaluate(() => kit.controller.abort());
      assert.deepEqual(await failing, ["Canceled", "still there"]);
      await until(() => signals[0]?.aborted === true);
    });
  }
});
