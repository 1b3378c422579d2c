import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { clampDeadline } from "../../src/server/clamp-deadline.ts";
import { serve } from "../../src/server/serve.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { pause } from "../support/eventually.ts";

describe("clampDeadline()", () => {
  const cases: readonly (readonly [name: string, given: string, kept: string])[] = [
    ["grpc-timeout", "99999999H", "2147483S"],
    ["grpc-timeout", "2147484S", "2147483S"],
    ["grpc-timeout", "2147483S", "2147483S"],
    ["grpc-timeout", "99999999m", "99999999m"],
    ["grpc-timeout", "5S", "5S"],
    ["grpc-timeout", "999999999H", "999999999H"],
    ["connect-timeout-ms", "9999999999", "2147483647"],
    ["connect-timeout-ms", "2147483647", "2147483647"],
    ["connect-timeout-ms", "soon", "soon"],
  ];
  for (const [name, given, kept] of cases) {
    test(`makes ${name}: ${given} ${kept}`, () => {
      const header = new Headers({ [name]: given });
      clampDeadline(header);
      assert.deepEqual([...header], [[name, kept]]);
    });
  }

  test("a call with the longest deadline there is is not aborted at once", async () => {
    await using server = serve({
      routes: (router) =>
        router.service(EchoService, {
          async unary(_request, { signal }) {
            await pause(50);
            return { text: signal.aborted ? "aborted" : "under way" };
          },
        }),
    });
    const { url } = await server.ready;
    const answer = await fetch(`${url}/lictor.test.v1.EchoService/Unary`, {
      method: "POST",
      headers: { "content-type": "application/json", "connect-timeout-ms": "9999999999" },
      body: "{}",
    });
    assert.equal(await answer.text(), '{"text":"under way"}');
  });
});
