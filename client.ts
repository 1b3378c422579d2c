// Finds HelloService in Consul and calls it: bun run client.ts, deno run -A client.ts, node client.ts. See --help.

import process from "node:process";
import { clientCommand } from "./src/cli/client-command.ts";

process.exitCode = await clientCommand(process.argv.slice(2), process.env);
