// A user's script: calls EchoService in each of the four ways, `rounds` times, and prints `KIND SERVER ANSWER` for every call.
// Arguments: the agent's address, the service's name, the number of rounds.

import process from "node:process";
import { createConsulTransport } from "../../src/client/create-consul-transport.ts";
import { callEchoEveryWay } from "./call-echo-every-way.ts";

const [consul = "", service = "", rounds = "1"] = process.argv.slice(2);

// The rounds begin with all servers, however busy the machine is.
await using transport = createConsulTransport({ consul, service, settleMs: 5000 });
for (const line of await callEchoEveryWay(transport, Number(rounds))) console.log(line);
