import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { CallTracker, type TrackedCall } from "../../src/grpc/server/call-tracker.ts";

function createCall(onCut: (reason: ConnectError) => void = () => {}): TrackedCall {
  return { nextCall: undefined, previousCall: undefined, cut: onCut };
}

describe("CallTracker", () => {
  test("is idle at once where nothing is under way", async () => {
    await new CallTracker().idle();
  });

  test("is idle when the last call has ended, and counts each end once", async () => {
    const calls = new CallTracker();
    const first = calls.begin();
    const second = createCall();
    calls.add(second);
    let idle = false;
    const waiting = calls.idle().then(() => {
      idle = true;
    });
    first();
    first();
    await Promise.resolve();
    assert.equal(idle, false);
    assert.equal(calls.size, 1);
    calls.remove(second);
    calls.remove(second);
    await waiting;
    assert.equal(calls.size, 0);
  });

  test("tells the calls of a snapshot that are still under way, in their order", () => {
    const calls = new CallTracker();
    const [first, second, third, fourth] = [createCall(), createCall(), createCall(), createCall()];
    for (const call of [first, second, third]) calls.add(call);
    const snapshot = calls.all();
    assert.deepEqual(snapshot, [first, second, third]);
    calls.remove(second);
    calls.add(fourth);
    const left = new Set(calls.all());
    assert.deepEqual([...left], [first, third, fourth]);
    assert.equal(snapshot.filter((call) => left.has(call)).length, 2);
  });

  test("remove() does nothing for a call that was never added", () => {
    const calls = new CallTracker();
    calls.begin();
    calls.remove(createCall());
    assert.equal(calls.size, 1);
  });

  test("cut() reaches every call, also where each removes itself", () => {
    const calls = new CallTracker();
    const reasons: ConnectError[] = [];
    for (let index = 0; index < 3; index++) {
      const call = createCall((reason) => {
        reasons.push(reason);
        calls.remove(call);
      });
      calls.add(call);
    }
    const reason = new ConnectError("over", Code.Unavailable);
    calls.cut(reason);
    assert.deepEqual(reasons, [reason, reason, reason]);
    assert.equal(calls.size, 0);
  });
});
