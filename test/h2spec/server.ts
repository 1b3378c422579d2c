// A server of `serve()` with nothing but the standard services, for h2spec. Prints `ready HOST:PORT`, and runs until its stdin ends.

import process from "node:process";
import { serve } from "../../src/server/serve.ts";

const server = serve({ routes() {}, http2: "lictor" });
const { host, port } = await server.ready;
console.log(`ready ${host}:${port}`);

process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
