// A user's script: calls HelloService, prints the answers, closes its client, and leaves the ending to the runtime.
// Arguments: the agent's address, the service's name, the number of calls.

import process from "node:process";
import { createHelloClient } from "../../src/hello/create-hello-client.ts";

const [consul = "", service = "", calls = "1"] = process.argv.slice(2);

await using client = createHelloClient({ consul, service });
for (let i = 0; i < Number(calls); i++) {
  const { message, result } = await client.sayHello({ name: "script", num1: i, num2: 1 });
  console.log(`${result} ${message}`);
}
