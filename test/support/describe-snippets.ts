// The suite that the code of every document goes through: it compiles against the sources, and what is marked so runs, beside the
// servers that the document speaks of.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type ServeOptions, type Server, serve } from "../../src/index.ts";
import { type EmbeddedConsul, startEmbeddedConsul } from "../../src/testing/index.ts";
import {
  createSnippetFolder,
  onlyOnce,
  type Snippet,
  type SnippetFolder,
  titleOf,
  withUsualPorts,
} from "./snippets.ts";

const timeout = 60_000;

/** Adds the suite. `servers` run, registered in an agent of their own, while the snippets do. */
export function describeSnippets(title: string, snippets: readonly Snippet[], servers: readonly ServeOptions[]): void {
  describe(title, () => {
    let folder: SnippetFolder;
    let consul: EmbeddedConsul;
    let started: readonly Server[];

    before(async () => {
      folder = createSnippetFolder();
      consul = await startEmbeddedConsul();
      for (const snippet of snippets) folder.write(snippet, consul.address);
      started = servers.map((options) => serve({ consul: consul.address, drainMarginMs: 0, ...options }));
      for (const server of started) {
        await server.ready;
        await server.registration?.registered;
      }
    });
    after(async () => {
      await Promise.all(started.map((server) => server.close()));
      await consul.close();
      folder[Symbol.dispose]();
    });

    for (const snippet of snippets) {
      if (!snippet.isRunnable) continue;
      test(`${snippet.name}: "${titleOf(snippet.text)}" runs and ends by itself`, { timeout }, async () => {
        await using script = folder.start(snippet);
        assert.equal(await script.exitCode, 0, script.stderr);
        if (snippet.output !== undefined) assert.equal(withUsualPorts(script.stdout), snippet.output);
      });
    }

    test("have no type errors", { timeout, skip: onlyOnce }, () => folder.compile());
  });
}
