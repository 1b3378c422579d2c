import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { watchFiles } from "../../src/runtime/watch-files.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";

describe("watchFiles()", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "lictor-watch-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  const write = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };

  /** Numbers in a file. */
  function watchNumber(path: string, everyMs?: number) {
    const clock = createManualClock();
    const changes: number[] = [];
    const troubles: string[] = [];
    const watched = watchFiles(
      { number: path },
      ({ number }) => {
        if (!/^\d+$/.test(number)) throw new Error(`no number: ${number}`);
        return Number(number);
      },
      {
        ...(everyMs === undefined ? {} : { everyMs }),
        clock,
        onChange: (value) => changes.push(value),
        onTrouble: (error) => troubles.push(String(error)),
      },
    );
    return { watched, clock, changes, troubles };
  }

  test("gives what was read until it is asked a second later", async () => {
    const path = write("n", "1");
    const { watched, clock, changes } = watchNumber(path);
    writeFileSync(path, "2");
    await clock.advance(999);
    assert.equal(watched.current, 1);
    await clock.advance(1);
    assert.equal(watched.current, 2);
    assert.deepEqual(changes, [2]);
  });

  test("sees every way of replacing a file: written over, moved over, a symbolic link of a folder switched over", () => {
    const path = write("n", "1");
    const { watched } = watchNumber(path, 0);
    assert.equal(watched.current, 1);
    // As long as before, and within the grain of a file's times.
    writeFileSync(path, "2");
    assert.equal(watched.current, 2);
    renameSync(write("next", "3"), path);
    assert.equal(watched.current, 3);
    // https://kubernetes.io/docs/concepts/configuration/secret/: ..data is a link to the newest folder.
    for (const version of ["4", "5"]) {
      mkdirSync(join(folder, `..${version}`));
      write(`..${version}/n`, version);
    }
    symlinkSync("..4", join(folder, "..data"));
    unlinkSync(path);
    symlinkSync("..data/n", path);
    assert.equal(watched.current, 4);
    symlinkSync("..5", join(folder, "..data_tmp"));
    renameSync(join(folder, "..data_tmp"), join(folder, "..data"));
    assert.equal(watched.current, 5);
  });

  test("keeps the last that could be used, and tells of trouble once where it stays", () => {
    const path = write("n", "1");
    const { watched, troubles, changes } = watchNumber(path, 0);
    writeFileSync(path, "half");
    assert.equal(watched.current, 1);
    assert.deepEqual(troubles, []);
    for (let look = 0; look < 3; look++) assert.equal(watched.current, 1);
    assert.deepEqual(troubles, ["Error: no number: half"]);
    unlinkSync(path);
    for (let look = 0; look < 3; look++) assert.equal(watched.current, 1);
    assert.equal(troubles.length, 2);
    assert.match(troubles[1] ?? "", /ENOENT|no such file/i);
    writeFileSync(path, "1");
    assert.equal(watched.current, 1);
    assert.deepEqual(changes, []);
    writeFileSync(path, "7");
    assert.equal(watched.current, 7);
    assert.deepEqual(changes, [7]);
  });

  test("tells nobody of files that are of no use for one look, as between two writes", () => {
    const path = write("n", "1");
    const { watched, troubles } = watchNumber(path, 0);
    for (const [text, value] of [
      ["x", 1],
      ["2", 2],
      ["x", 2],
      ["3", 3],
    ] as const) {
      writeFileSync(path, text);
      assert.equal(watched.current, value);
    }
    assert.deepEqual(troubles, []);
  });

  test("takes a folder for all of its files, but for those of Kubernetes", () => {
    mkdirSync(join(folder, "ca"));
    mkdirSync(join(folder, "ca", "..2026"));
    write("ca/..2026/a", "hidden");
    write("ca/..ignored", "hidden");
    write("ca/b", "second");
    write("ca/a", "first");
    const watched = watchFiles({ ca: join(folder, "ca") }, ({ ca }) => ca, { everyMs: 0 });
    assert.equal(watched.current, "first\nsecond");
    write("ca/c", "third");
    assert.equal(watched.current, "first\nsecond\nthird");
  });

  test("throws what the first reading throws, and for a bad interval", () => {
    assert.throws(() => watchNumber(join(folder, "none")), /ENOENT|no such file/i);
    assert.throws(() => watchNumber(write("n", "x")), /no number: x/);
    assert.throws(() => watchNumber(write("n", "1"), -1), RangeError);
  });
});
