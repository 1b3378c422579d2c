// Carries an EdgeOrder out wherever the table has a column: in a process of Bun, Deno or Node, in a Worker, in a page.

import assert from "node:assert/strict";
import { launchChromium } from "../browser/chromium.ts";
import { type PageSite, startPageSite } from "../browser/page-site.ts";
import { bundleForWeb } from "../support/bundle.ts";
import { spawnOn } from "../support/spawn-on.ts";
import { startWorkers } from "../workerd/workerd.ts";
import type { MatrixRuntime } from "./cells.ts";
import type { callByEdge, EdgeAnswers, EdgeOrder } from "./edge-caller.ts";

/** Starts where the page comes from: servers must know its origin before they let it call. */
export function startMatrixSite(): Promise<PageSite> {
  return startPageSite(bundleForWeb("test/matrix/page.ts"));
}

/** Carries out an order in a program that is started for it and gone when the answers are there. `origin` is the page's. */
export async function runByEdge(runtime: MatrixRuntime, order: EdgeOrder, origin: string): Promise<EdgeAnswers> {
  switch (runtime) {
    case "bun":
    case "deno":
    case "node": {
      await using program = spawnOn(runtime, "test/matrix/call-edge.ts", [JSON.stringify(order)]);
      assert.equal(await program.exitCode, 0, program.stderr);
      return JSON.parse(program.stdout);
    }
    case "workerd": {
      await using workers = await startWorkers("test/matrix/worker.ts", [{}]);
      return await workers.ask(`/?order=${encodeURIComponent(JSON.stringify(order))}`);
    }
    case "chromium": {
      const browser = await launchChromium();
      try {
        const page = await browser.newPage();
        await page.goto(origin);
        await page.waitForFunction(() => "callByEdge" in globalThis);
        return await page.evaluate((asked) => (globalThis as unknown as PageGlobal).callByEdge(asked), order);
      } finally {
        await browser.close();
      }
    }
  }
}

interface PageGlobal {
  readonly callByEdge: typeof callByEdge;
}
