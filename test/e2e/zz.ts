import { startEmbeddedConsul } from "../../src/testing/embedded-consul.ts";
import { spawnOn } from "../support/spawn-on.ts";
import { pause } from "../support/eventually.ts";
const [seconds="10", which="bun,deno,node", stop="SIGINT"] = process.argv.slice(2);
const agent = await startEmbeddedConsul();
const server = spawnOn("deno","server.ts",["--consul",agent.address,"--port=0","--log=info"], {env:{}});
server.exitCode.then(c=>console.log("server ended", c, server.process.signalCode, server.stderr.split("\n").filter(l=>!l.includes("called SayHello")).join("\n")));
await server.ready(1); await pause(500);
const clients = which.split(",").map(r=>spawnOn(r as any,"client.ts",["--consul",agent.address,"--every=97ms","x"]));
await pause(Number(seconds)*1000);
console.log(clients.map(c=>c.lines.length));
for (const c of clients) { console.log("stop client"); c.signal(stop as any); await c.exitCode; await pause(700);}
console.log("stop server");
server.signal("SIGTERM"); await server.exitCode; await agent.close();
