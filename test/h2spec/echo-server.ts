// A server of test/support/h2-echo.ts on a port of its own, for programs that speak HTTP/2 from outside. Prints `ready HOST:PORT`, and
// runs until its stdin ends or it is killed. `rss` on a line of stdin prints `rss BYTES`, the memory it takes.

import process from "node:process";
import { startH2Echo } from "../support/h2-echo.ts";

const server = await startH2Echo();
console.log(`ready 127.0.0.1:${server.port}`);

process.stdin.setEncoding("utf8");
process.stdin.on("data", (text: string) => {
  if (text.includes("rss")) console.log(`rss ${process.memoryUsage.rss()}`);
});
process.stdin.on("end", () => process.exit(0));
