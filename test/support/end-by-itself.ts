// A process that opens a client, a server or both, closes them, and must end by itself then. Arguments: `client`, `server` or `both`; `cut`
// where a call is under way meanwhile, else `idle`; the port that a client calls. A server prints `ready HOST:PORT`, and closes once a call
// has come, if a call is to be cut, else when stdin ends.

import { once } from "node:events";
import process from "node:process";
import { createClient } from "@connectrpc/connect";
import { createHttp2Connector } from "../../src/connector/http2-connector.ts";
import { createStaticResolver } from "../../src/resolver/static-resolver.ts";
import { serve } from "../../src/server/serve.ts";
import { createBalancedTransport } from "../../src/transport/balanced-transport.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { createEchoService } from "./echo-service.ts";

const [who, how, given] = process.argv.slice(2);
const isCut = how === "cut";
const called = Promise.withResolvers<void>();

process.on("unhandledRejection", (error) => {
  console.error("unhandled rejection", error);
  process.exit(1);
});

const server =
  who === "client" ? undefined : serve({ routes: createEchoService({ onCall: () => called.resolve() }), graceMs: 50 });
const port = server === undefined ? given : (await server.ready).port;
if (who === "server") {
  console.log(`ready 127.0.0.1:${port}`);
  if (isCut) await called.promise;
  else await once(process.stdin.resume(), "end");
} else {
  const transport = createBalancedTransport({
    resolver: createStaticResolver([`http://127.0.0.1:${port}`]),
    connector: createHttp2Connector(),
    closeGraceMs: 50,
  });
  const client = createClient(EchoService, transport);
  await client.unary({ text: "a" }, { timeoutMs: 60_000 });
  const underWay = isCut ? client.unary({ delayMs: 600_000 }, { timeoutMs: 600_000 }) : Promise.resolve();
  const [result] = await Promise.all([
    Promise.allSettled([underWay]).then(([settled]) => settled),
    // Both ends at once where both are here.
    Promise.resolve().then(() => Promise.all([transport.close(), server?.close()])),
  ]);
  if (isCut !== (result?.status === "rejected")) throw new Error(`the call under way was ${result?.status}`);
}
await server?.close();
console.log("closed");
