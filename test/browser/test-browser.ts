// A browser for one test file: pages that hold the kit, and what they complained of. A page that raised an error nobody caught
// fails its test when it is closed.

import assert from "node:assert/strict";
import type { BrowserContext, Page } from "playwright-core";
import { bundleForWeb } from "../support/bundle.ts";
import type { CertificatePair } from "../support/certificates.ts";
import { launchChromium } from "./chromium.ts";
import { type PageSite, startPageSite } from "./page-site.ts";

/** A running browser and its sites. */
export interface TestBrowser extends AsyncDisposable {
  /** Where pages come from unless another origin is asked for. */
  readonly origin: string;
  /** Opens a page with the kit, in a context (cookies, cache) of its own. */
  openPage(options?: OpenPageOptions): Promise<TestPage>;
  /** Starts another site, over TLS where there is a certificate. Whoever starts it disposes of it. */
  startSite(certificate?: CertificatePair): Promise<PageSite>;
}

/** Where a page comes from. */
export interface OpenPageOptions {
  /** Default: that of the browser's own site, `origin` of TestBrowser. */
  readonly origin?: string;
}

/** A page that holds the kit. Disposing of it checks that nothing went wrong unseen, and closes it. */
export interface TestPage extends AsyncDisposable {
  readonly page: Page;
  readonly context: BrowserContext;
  readonly origin: string;
}

/** Bundles the kit and starts a browser. */
export async function startTestBrowser(): Promise<TestBrowser> {
  const script = bundleForWeb("test/browser/page-kit.ts");
  const browser = await launchChromium();
  const site = await startPageSite(script);
  return {
    origin: site.origin,
    startSite: (certificate) => startPageSite(script, certificate),
    async openPage({ origin = site.origin } = {}) {
      const context = await browser.newContext({ ignoreHTTPSErrors: true });
      const page = await context.newPage();
      const problems: string[] = [];
      page.on("pageerror", (error) => problems.push(`uncaught: ${error}`));
      page.on("console", (message) => {
        // What the browser says of answers that are errors and of requests that fail, it says whoever catches them.
        const isNetwork = /^Failed to load resource: |blocked by CORS policy/.test(message.text());
        if (["error", "warning"].includes(message.type()) && !isNetwork) problems.push(message.text());
      });
      await page.goto(origin);
      await page.waitForFunction(() => "kit" in globalThis);
      return {
        page,
        context,
        origin,
        async [Symbol.asyncDispose]() {
          await context.close();
          assert.deepEqual(problems, [], "what the page complained of");
        },
      };
    },
    async [Symbol.asyncDispose]() {
      await browser.close();
      await site[Symbol.asyncDispose]();
    },
  };
}
