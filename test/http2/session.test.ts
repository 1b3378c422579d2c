// Sessions over real sockets: bytes arrive whole both ways, many calls at once, and both sides leave in order.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { connectH2, startH2Echo } from "../support/h2-echo.ts";

const mebibyte = 1024 * 1024;

describe("Http2Session", () => {
  test("carries 1 MiB both ways, and twenty of them at once", async () => {
    await using server = await startH2Echo();
    await using client = await connectH2(server.port);
    const body = Uint8Array.from({ length: mebibyte }, (_, index) => index * 7 + (index >>> 8));
    const answer = await client.call("/echo", body);
    assert.deepEqual(answer.headers, [":status", "200", "content-type", "application/octet-stream"]);
    assert.deepEqual(answer.trailers, ["grpc-status", "0"]);
    assert.ok(Buffer.from(answer.body).equals(body));
    const answers = await Promise.all(Array.from({ length: 20 }, () => client.call("/echo", body)));
    for (const { body: echoed } of answers) assert.ok(Buffer.from(echoed).equals(body));
  });

  test("carries 1,000 calls at once, twice", async () => {
    await using server = await startH2Echo();
    await using client = await connectH2(server.port);
    for (let round = 0; round < 2; round++) {
      const calls = Array.from({ length: 1000 }, (_, index) => client.call("/echo", Uint8Array.of(index, index >>> 8)));
      for (const [index, { body }] of (await Promise.all(calls)).entries()) {
        assert.deepEqual([...body], [index & 0xff, index >>> 8]);
      }
    }
    assert.equal(server.sessions[0]?.paths.length, 2000);
    assert.equal(client.session.connection.streamCount, 0);
  });
});
