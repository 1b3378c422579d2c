// The page in a real browser: Debian's Chromium, or the one that CHROMIUM_BIN names.

import assert from "node:assert/strict";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import process from "node:process";
import { after, before, beforeEach, describe, test } from "node:test";
import type { Server } from "lictor";
import { type EmbeddedConsul, startEmbeddedConsul } from "lictor/testing";
import { type Browser, chromium, type Page } from "playwright-core";
import { startCounterServer } from "../counter-server.ts";
import { startPageServer } from "../page-server.ts";

const executablePath = findChromium();
const isMissing = executablePath === undefined && process.env.CI !== "true";
const skip = isMissing ? "no Chromium: install Debian's package chromium, or set CHROMIUM_BIN" : false;

describe("the page", { skip, timeout: 60_000 }, () => {
  let consul: EmbeddedConsul;
  let pageServer: Server;
  let counters: readonly Server[];
  let browser: Browser;
  let page: Page;
  let uncaught: unknown[];

  before(async () => {
    assert.ok(executablePath, "no Chromium");
    consul = await startEmbeddedConsul();
    pageServer = startPageServer(consul.address, 0);
    const { url } = await pageServer.ready;
    counters = [startCounterServer(consul.address, [url]), startCounterServer(consul.address, [url])];
    for (const counter of counters) {
      await counter.ready;
      await counter.registration?.registered;
    }
    browser = await chromium.launch({ executablePath, chromiumSandbox: process.getuid?.() !== 0 });
  });
  after(async () => {
    await browser?.close();
    await Promise.all([pageServer, ...counters].map((server) => server.close()));
    await consul.close();
  });
  beforeEach(async () => {
    page = await browser.newPage();
    uncaught = [];
    page.on("pageerror", (error) => uncaught.push(error));
    await page.goto(pageServer.address?.url ?? "");
  });

  const lines = () => page.locator("#answers li").allTextContents();
  const add = async (calls: number) => {
    const before = (await lines()).length;
    for (let call = 1; call <= calls; call++) {
      await page.click("#add");
      await page
        .locator("#answers li")
        .nth(before + call - 1)
        .waitFor();
    }
    return (await lines()).slice(0, calls).reverse();
  };
  const hosts = () => counters.map(({ address }) => `127.0.0.1:${address?.port}`).sort();

  for (const [protocol, label] of [
    ["connect", "Connect"],
    ["grpc-web", "gRPC-Web"],
  ]) {
    test(`calls both servers in turn by ${label}`, async () => {
      await page.fill("[name=name]", "Ada");
      await page.check(`[value=${protocol}]`);
      const answers = await add(4);
      const called = answers.map((line) => /^Hello, Ada! 1 \+ 2 = 3, says (\S+) by (\S+)$/.exec(line)?.slice(1));
      assert.deepEqual(
        called
          .slice(0, 2)
          .map((answer) => answer?.[0])
          .sort(),
        hosts(),
      );
      assert.deepEqual(called.slice(2), called.slice(0, 2));
      assert.equal(called[0]?.[1], label);
      assert.deepEqual(
        (await page.locator("#servers li").allTextContents()).sort(),
        hosts().map((host) => `${host}2 calls`),
      );
      assert.deepEqual(uncaught, []);
    });

    test(`shows an error, and stops counting when it is told to, by ${label}`, async () => {
      await page.check(`[value=${protocol}]`);
      await page.fill("[name=name]", "");
      assert.deepEqual(await add(1), ["[invalid_argument] the name must not be empty"]);

      await page.click("#count");
      await page.locator("#counter", { hasText: /[1-9]/ }).waitFor();
      await page.click("#cancel");
      await page.locator("#add:enabled").waitFor();
      const [canceled = "", counting = ""] = await lines();
      assert.equal(canceled, "[canceled] you did");
      assert.ok(counting.endsWith(` counts, by ${label}`), counting);
      assert.deepEqual(uncaught, []);
    });
  }

  test("goes on when a server goes", async () => {
    const [leaving, staying] = counters;
    await add(2);
    await leaving?.close();
    for (const line of await add(4)) assert.match(line, new RegExp(`says 127\\.0\\.0\\.1:${staying?.address?.port} `));
    assert.deepEqual(uncaught, []);
  });
});

function findChromium(): string | undefined {
  if (process.env.CHROMIUM_BIN) return process.env.CHROMIUM_BIN;
  const folders = (process.env.PATH ?? "").split(delimiter);
  const candidates = ["chromium", "chromium-browser", "google-chrome"].flatMap((name) =>
    folders.map((folder) => join(folder, name)),
  );
  return candidates.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
