// The last resort of a call whose endpoints have all failed: one more look at who is there.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Code, createClient } from "@connectrpc/connect";
import { createManualClock } from "../../src/testing/manual-clock.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { lost, openOverSource } from "../support/edge-fakes.ts";
import { rejection } from "../support/rejection.ts";

const startMs = 1_700_000_000_000;

describe("when every endpoint has failed", () => {
  test("the snapshot is read anew once, and newcomers are tried", async () => {
    const clock = createManualClock(startMs);
    const { transport, source, down, hosts } = openOverSource({ clock });
    const client = createClient(EchoService, transport);
    await client.unaryIdempotent({});
    down.set("a", lost()).set("b", lost());
    source.next = ["a", "b", "c"];
    await clock.advance(100);
    assert.equal((await client.unaryIdempotent({})).server, "c");
    assert.deepEqual(hosts, ["a", "b", "a", "c"]);
    assert.equal(source.reads, 2);
  });

  test("an instance that has moved under its old id is a newcomer", async () => {
    const clock = createManualClock(startMs);
    const { transport, source, down } = openOverSource({ clock });
    const client = createClient(EchoService, transport);
    source.next = ["a"];
    await client.unaryIdempotent({});
    down.set("a", lost());
    source.read = async () =>
      ({ endpoints: [{ url: "http://moved.test:1", id: "a" }], confirmedAtMs: startMs }) as never;
    await clock.advance(100);
    assert.equal((await client.unaryIdempotent({})).server, "moved");
  });

  test("and none is new, the call fails with the last error; the source is not asked twice", async () => {
    const clock = createManualClock(startMs);
    const { transport, source, down, hosts } = openOverSource({ clock });
    const client = createClient(EchoService, transport);
    down.set("a", lost()).set("b", lost());
    const error = await rejection(client.unaryIdempotent({}));
    assert.equal(error.code, Code.Unavailable);
    assert.equal(
      error.rawMessage,
      "none of 2 endpoints of the test's list has answered, the last one: no answer from http://b.test:1: fetch failed: the connection was lost",
    );
    assert.deepEqual([hosts, source.reads], [["a", "b"], 2]);
  });

  test("and the source fails too, the call's own error counts", async () => {
    const clock = createManualClock(startMs);
    const { transport, source, down } = openOverSource({ clock });
    const client = createClient(EchoService, transport);
    await client.unaryIdempotent({});
    down.set("a", lost()).set("b", lost());
    source.next = new Error("Consul is gone too");
    await clock.advance(100);
    assert.match((await rejection(client.unaryIdempotent({}))).rawMessage, /^none of 2 endpoints/);
  });
});
