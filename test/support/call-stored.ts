// A process that finds EchoService by Consul or by what an earlier process left, makes one call, and ends: prints the server's name, where the
// list of endpoints came from, and how many milliseconds the call took. Arguments: the agent's address, the service's name, the store's folder.

import process from "node:process";
import { createClient } from "@connectrpc/connect";
import { createConsulTransport } from "../../src/client/create-consul-transport.ts";
import { fileStore } from "../../src/runtime/file-store.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";

const [consul = "", service = "", folder = ""] = process.argv.slice(2);

await using transport = createConsulTransport({ consul, service, store: fileStore(folder) });
const startMs = performance.now();
const { server } = await createClient(EchoService, transport).unary({});
const tookMs = Math.round(performance.now() - startMs);
console.log(`${server} ${transport.status().list?.source} ${tookMs}`);
