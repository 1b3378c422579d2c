// The code in docs/ compiles against the sources, and what is marked so runs. What is another library's is left alone, unless
// that library is at hand.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import { ThermometerService } from "../../examples/own-service/gen/example/thermometer/v1/thermometer_pb.ts";
import { createHelloService } from "../../src/index.ts";
import { describeSnippets } from "../support/describe-snippets.ts";
import { readSnippets } from "../support/snippets.ts";

const docs = new URL("../../docs/", import.meta.url);

const pages = readdirSync(docs)
  .filter((name) => name.endsWith(".md"))
  .sort();

/** ThermometerService as docs/ speaks of it. */
function thermometer(router: ConnectRouter): void {
  router.service(ThermometerService, {
    read({ room }) {
      if (room !== "kitchen") throw new ConnectError(`no thermometer in room ${JSON.stringify(room)}`, Code.NotFound);
      return { celsius: 21.5 };
    },
    async *watch({ readings }) {
      for (let reading = 0; reading < readings; reading++) yield { celsius: 21.5 + reading / 10 };
    },
  });
}

const hello = { routes: createHelloService() };
const snippets = pages.flatMap((page) => readSnippets(`docs/${page}`));
describeSnippets("the code in docs/", snippets, [hello, hello, { routes: thermometer, service: "thermometer" }]);

test("docs/README.md has every page, and one line for each", () => {
  const index = readFileSync(new URL("README.md", docs), "utf8");
  for (const page of pages) {
    if (page !== "README.md") assert.equal(index.split(`](${page})`).length, 2, page);
  }
});
