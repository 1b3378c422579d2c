// grpcui, the web page for gRPC servers, learns what our server serves by reflection and calls it, on every runtime. Asked
// over HTTP, as its page would: without a browser.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type ConsulProcess, realConsulSkip, startConsul } from "../support/consul-agent.ts";
import { runtimeNames } from "../tools/runtimes.ts";
import { goSkip, startGo, startOurServer } from "./programs.ts";

interface MethodMetadata {
  readonly requestType: string;
  readonly messageTypes: Readonly<Record<string, readonly { readonly name: string; readonly type: string }[]>>;
}

interface Invocation {
  readonly error: unknown;
  readonly responses: readonly { readonly message: unknown; readonly isError: boolean }[];
}

describe("grpcui", { skip: realConsulSkip || goSkip }, () => {
  let consul: ConsulProcess;
  before(async () => {
    consul = await startConsul();
  });
  after(() => consul?.[Symbol.asyncDispose]());

  for (const runtime of runtimeNames) {
    test(`grpcui shows and calls our server on ${runtime}`, async () => {
      await using server = await startOurServer(runtime, consul, `grpcui-${runtime}`);
      const [address = ""] = await server.ready(1);
      await using grpcui = startGo("grpcui", ["-plaintext", "-bind", "127.0.0.1", "-port", "0", address]);
      await grpcui.until(({ stdout }) => stdout.includes("available at "));
      const url = /available at (\S+)/.exec(grpcui.stdout)?.[1] ?? "";

      const page = await fetch(url);
      const html = await page.text();
      for (const service of ["HelloService_proto.HelloService", "grpc.health.v1.Health"]) {
        assert.ok(html.includes(service), `${service} is not on the page`);
      }

      const method = "HelloService_proto.HelloService.SayHello";
      const metadata: MethodMetadata = await (await fetch(`${url}metadata?method=${method}`)).json();
      assert.equal(metadata.requestType, "HelloService_proto.HelloRequest");
      assert.deepEqual(
        metadata.messageTypes[metadata.requestType]?.map(({ name, type }) => `${name} ${type}`),
        ["name string", "num1 int32", "num2 int32"],
      );

      const cookie = page.headers.getSetCookie()[0]?.split(";")[0] ?? "";
      const answer = await fetch(`${url}invoke/${method}`, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          cookie,
          "x-grpcui-csrf-token": cookie.slice(cookie.indexOf("=") + 1),
        },
        body: JSON.stringify({
          timeout_seconds: 10,
          metadata: [],
          data: [{ name: "grpcui", num1: 2147483647, num2: 1 }],
        }),
      });
      const { error, responses }: Invocation = await answer.json();
      assert.equal(error, null);
      assert.deepEqual(responses, [
        { message: { message: `Hello! grpcui!This is Server: ${address}`, result: -2147483648 }, isError: false },
      ]);
    });
  }
});
