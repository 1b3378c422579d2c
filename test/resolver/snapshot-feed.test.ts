import assert from "node:assert/strict";
import { test } from "node:test";
import { createSnapshotFeed } from "../../src/resolver/snapshot-feed.ts";

test("createSnapshotFeed() tells a listener that joins during a delivery each snapshot once, in order", () => {
  const feed = createSnapshotFeed<number>((error) => assert.ifError(error));
  const seen: string[] = [];
  let joined = false;
  feed.subscribe({
    onSnapshot(number) {
      seen.push(`first ${number}`);
      if (joined) return;
      joined = true;
      feed.publish(2);
      feed.subscribe({ onSnapshot: (later) => seen.push(`second ${later}`), onError: assert.fail });
    },
    onError: assert.fail,
  });
  feed.publish(1);
  feed.publish(3);
  assert.deepEqual(seen, ["first 1", "second 2", "first 2", "first 3", "second 3"]);
  assert.equal(feed.size, 2);
});

test("createSnapshotFeed() lets the snapshot stand when it fails or is amended, and reports what listeners throw", () => {
  const mistakes: unknown[] = [];
  const feed = createSnapshotFeed<number>((error) => mistakes.push(error));
  const seen: unknown[] = [];
  const mistake = new Error("mistake");
  feed.subscribe({
    onSnapshot() {
      throw mistake;
    },
    onError() {
      throw mistake;
    },
  });
  const stop = feed.subscribe({
    onSnapshot: (number) => seen.push(number),
    onError: (error) => seen.push(error),
  });
  feed.publish(1);
  feed.fail("lost");
  feed.amend(2);
  stop();
  feed.publish(3);
  assert.deepEqual(seen, [1, "lost"]);
  assert.deepEqual(mistakes, [mistake, mistake, mistake]);
  assert.equal(feed.latest, 3);
});
