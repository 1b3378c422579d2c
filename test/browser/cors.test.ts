// What the browser asks of our server before a page of another origin may call it, and what it makes of the answers.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createHelloService } from "../../src/hello/hello-service.ts";
import type { CorsOptions } from "../../src/server/cors-options.ts";
import { serve } from "../../src/server/serve.ts";
import type { Server } from "../../src/server/server.ts";
import { type ConsulProxy, startConsulProxy } from "../support/consul-proxy.ts";
import { createEchoService } from "../support/echo-service.ts";
import { chromiumSkip } from "./chromium.ts";
import { startTestBrowser, type TestBrowser } from "./test-browser.ts";

describe("serve() with cors, asked by a browser", { skip: chromiumSkip, timeout: 110_000 }, () => {
  let browser: TestBrowser;
  before(async () => {
    browser = await startTestBrowser();
  });
  after(() => browser?.[Symbol.asyncDispose]());

  for (const protocol of ["connect", "grpc-web"] as const) {
    test(`is asked once for many calls, ${protocol}`, async () => {
      await using server = await startServer([browser.origin]);
      await using open = await browser.openPage();
      await open.page.evaluate(
        async (given) => {
          for (let call = 0; call < 3; call++) await kit.echo(given).unary({});
        },
        { protocol, endpoints: [server.url] },
      );
      assert.deepEqual(server.methods(), ["OPTIONS", "POST", "POST", "POST"]);
    });

    test(`is asked again when maxAgeSeconds have passed, ${protocol}`, async () => {
      await using server = await startServer({ origins: [browser.origin], maxAgeSeconds: 0 });
      await using open = await browser.openPage();
      await open.page.evaluate(
        async (given) => {
          for (let call = 0; call < 2; call++) await kit.echo(given).unary({});
        },
        { protocol, endpoints: [server.url] },
      );
      assert.deepEqual(server.methods(), ["OPTIONS", "POST", "OPTIONS", "POST"]);
    });

    test(`lets no page call whose origin is not named, ${protocol}`, async () => {
      await using elsewhere = await browser.startSite();
      await using server = await startServer([browser.origin]);
      await using open = await browser.openPage(elsewhere);
      const failure = await open.page.evaluate(async (given) => kit.failure(kit.echo(given).unary({})), {
        protocol,
        endpoints: [server.url],
      });
      assert.equal(failure.code, "Unavailable");
      assert.ok(failure.message.includes(server.url), failure.message);
      assert.deepEqual(server.methods(), ["OPTIONS"]);
      assert.equal(server.calls.length, 0);
    });

    test(`lets no page call without cors, ${protocol}`, async () => {
      await using server = await startServer(undefined);
      await using open = await browser.openPage();
      const failure = await open.page.evaluate(async (given) => kit.failure(kit.echo(given).unary({})), {
        protocol,
        endpoints: [server.url],
      });
      assert.equal(failure.code, "Unavailable");
      assert.equal(server.calls.length, 0);
    });

    test(`lets every page call where the origin is *, ${protocol}`, async () => {
      await using elsewhere = await browser.startSite();
      await using server = await startServer(["*"]);
      for (const origin of [browser.origin, elsewhere.origin]) {
        await using open = await browser.openPage({ origin });
        const text = await open.page.evaluate(async (given) => (await kit.echo(given).unary({ text: "all" })).text, {
          protocol,
          endpoints: [server.url],
        });
        assert.equal(text, "all");
      }
    });

    test(`lets pages send metadata and read it where it is named, and none else, ${protocol}`, async () => {
      const ask = async (cors: CorsOptions) => {
        await using server = await startServer(cors);
        await using open = await browser.openPage();
        return await open.page.evaluate(
          async (given) => {
            let header: string | null = null;
            const onHeader = (headers: Headers) => {
              header = headers.get("x-echo-header");
            };
            try {
              await kit.echo(given).unary({}, { headers: { "x-echo": "yes" }, onHeader });
            } catch (error) {
              return String(error);
            }
            return header;
          },
          { protocol, endpoints: [server.url] },
        );
      };
      const origins = [browser.origin];
      assert.equal(await ask({ origins, allowedHeaders: ["X-Echo"], exposedHeaders: ["X-Echo-Header"] }), "yes");
      assert.equal(await ask({ origins, allowedHeaders: ["X-Echo"] }), null);
      assert.match((await ask({ origins })) ?? "", /unavailable/);
    });

    test(`lets pages send cookies where it has credentials, ${protocol}`, async () => {
      const cookies = async (cors: CorsOptions, credentials: RequestCredentials) => {
        await using server = await startServer(cors);
        await using open = await browser.openPage();
        await open.context.addCookies([{ name: "session", value: "abc", url: browser.origin }]);
        const failure = await open.page.evaluate(
          async (given) => {
            const send = (url: string, init: RequestInit) => fetch(url, { ...init, credentials: given.credentials });
            const { protocol: by, endpoints } = given;
            const client = kit.echo({ protocol: by, endpoints, fetch: send });
            return client.unary({}).then(() => undefined, String);
          },
          { protocol, endpoints: [server.url], credentials },
        );
        return failure ?? server.calls.map((header) => header.get("cookie"));
      };
      const origins = [browser.origin];
      assert.deepEqual(await cookies({ origins, credentials: true }, "include"), ["session=abc"]);
      assert.deepEqual(await cookies({ origins, credentials: true }, "omit"), [null]);
      assert.match(String(await cookies({ origins }, "include")), /unavailable/);
    });

    test(`lets pages read that a method is unknown, ${protocol}`, async () => {
      await using server = serve({ routes: createHelloService(), cors: [browser.origin] });
      const { url } = await server.ready;
      await using open = await browser.openPage();
      const failure = await open.page.evaluate(async (given) => kit.failure(kit.echo(given).unary({})), {
        protocol,
        endpoints: [url],
      });
      assert.equal(failure.code, "Unimplemented");
      assert.match(failure.message, /EchoService/);
    });
  }

  test("is not asked before a GET", async () => {
    await using server = await startServer([browser.origin]);
    await using open = await browser.openPage();
    const result = await open.page.evaluate(
      async (endpoints) => {
        const hello = kit.createHelloClient({ endpoints, useHttpGet: true });
        const { result: sum } = await hello.sayHello({ name: "get", num1: 1, num2: 2 });
        const { result: again } = await hello.sayHello({ name: "get", num1: 2, num2: 2 });
        return [sum, again];
      },
      [server.url],
    );
    assert.deepEqual(result, [3, 4]);
    assert.deepEqual(server.methods(), ["GET", "GET"]);
  });
});

interface CountedServer extends AsyncDisposable {
  /** Of the proxy before it. */
  readonly url: string;
  /** Methods of the requests so far. */
  methods(): readonly string[];
  /** Headers of the calls that reached a handler. */
  readonly calls: readonly Headers[];
}

/** A server behind a proxy that counts; each has an origin of its own, about which browsers know nothing yet. */
async function startServer(cors: readonly string[] | CorsOptions | undefined): Promise<CountedServer> {
  const calls: Headers[] = [];
  const server: Server = serve({
    routes: (router, self) => {
      createEchoService()(router);
      createHelloService()(router, self);
    },
    ...(cors && { cors }),
    interceptors: [
      (next) => (request) => {
        calls.push(request.header);
        return next(request);
      },
    ],
  });
  const proxy: ConsulProxy = await startConsulProxy((await server.ready).url);
  return {
    url: proxy.address,
    methods: () => proxy.requests.map(({ method }) => method),
    calls,
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await server.close();
    },
  };
}
