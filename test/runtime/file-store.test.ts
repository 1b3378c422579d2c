// Endpoints in files, as a process leaves them for the next.

import assert from "node:assert/strict";
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileStore } from "../../src/runtime/file-store.ts";
import { endpoint } from "../support/endpoints.ts";

const stored = (id: string) => ({ version: 1, confirmedAtMs: 5, endpoints: [endpoint(id)] }) as const;

describe("fileStore()", () => {
  let root: string;
  before(async () => {
    root = await mkdtemp(join(tmpdir(), "file-store-"));
  });
  after(() => rm(root, { recursive: true }));

  test("gives back what was saved last under a key, to any store of the folder, and undefined for any other", async () => {
    const folder = join(root, "deep", "folder");
    const [first, second] = [fileStore(folder), fileStore(folder)];
    assert.equal(await first.load("k"), undefined);
    await first.save("k", stored("a"));
    await second.save('http ["x",{"tag":"../.."}]', stored("b"));
    await first.save("k", stored("c"));
    assert.deepEqual(await second.load("k"), stored("c"));
    assert.deepEqual(await first.load('http ["x",{"tag":"../.."}]'), stored("b"));
    assert.equal(await first.load("other"), undefined);
    assert.equal((await readdir(folder)).length, 2);
  });

  test("keeps its files for their owner alone", async () => {
    const folder = join(root, "private");
    await fileStore(folder).save("k", stored("a"));
    const [name = ""] = await readdir(folder);
    assert.equal((await stat(join(folder, name))).mode & 0o777, 0o600);
    assert.equal((await stat(folder)).mode & 0o777, 0o700);
  });

  test("never shows half a file, however many write at once, and leaves no other behind", async () => {
    const folder = join(root, "busy");
    const stores = Array.from({ length: 8 }, () => fileStore(folder));
    await Promise.all(
      stores.flatMap((store, i) => [
        store.save("k", stored(String(i))),
        store.load("k").then((loaded) => assert.ok(loaded === undefined || typeof loaded === "object")),
      ]),
    );
    assert.equal((await readdir(folder)).length, 1);
    const [name = ""] = await readdir(folder);
    assert.equal(JSON.parse(await readFile(join(folder, name), "utf8")).key, "k");
  });

  test("load() rejects for a file that is cut short, or of another kind", async () => {
    const folder = join(root, "broken");
    const store = fileStore(folder);
    await store.save("k", stored("a"));
    const [name = ""] = await readdir(folder);
    for (const text of ["", '{"key":"k","sto', '{"key":"other","stored":1}', "null"]) {
      await writeFile(join(folder, name), text);
      await assert.rejects(store.load("k"));
    }
    await store.save("k", stored("b"));
    assert.deepEqual(await store.load("k"), stored("b"));
  });

  test("save() rejects where the folder cannot be written to, and leaves nothing", {
    skip: process.getuid?.() === 0 && "root may write anywhere",
  }, async () => {
    const folder = join(root, "locked");
    await fileStore(folder).save("k", stored("a"));
    await chmod(folder, 0o500);
    try {
      await assert.rejects(fileStore(folder).save("k", stored("b")));
      assert.deepEqual(await fileStore(folder).load("k"), stored("a"));
    } finally {
      await chmod(folder, 0o700);
    }
  });

  test("save() rejects where the folder is a file", async () => {
    const path = join(root, "file");
    await writeFile(path, "");
    await assert.rejects(fileStore(path).save("k", stored("a")));
    await assert.rejects(fileStore(path).load("k"));
  });

  test("refuses a folder that is none", () => {
    assert.throws(() => fileStore(""), TypeError);
    assert.throws(() => fileStore(undefined as never), TypeError);
  });
});
