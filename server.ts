// Serves HelloService, or a module of yours, and announces it in Consul: bun run server.ts, deno run -A server.ts, node server.ts. See --help.

import process from "node:process";
import { serverCommand } from "./src/cli/server-command.ts";

process.exitCode = await serverCommand(process.argv.slice(2), process.env);
