// Finds ThermometerService in Consul, reads from its instances in turn, watches one of them, and ends.

import process from "node:process";
import { createClient } from "@connectrpc/connect";
import { consulFromEnv, createConsulTransport } from "lictor";
import { ThermometerService } from "./gen/example/thermometer/v1/thermometer_pb.ts";

const transport = createConsulTransport({ service: "thermometer", consul: consulFromEnv(process.env) });
const thermometer = createClient(ThermometerService, transport);

for (let call = 0; call < 4; call++) {
  const { celsius, instance } = await thermometer.read({ room: "kitchen" }, { timeoutMs: 1000 });
  console.log(`kitchen: ${celsius} °C, says ${instance}`);
}
for await (const { celsius } of thermometer.watch({ room: "cellar", readings: 3 })) {
  console.log(`cellar: ${celsius} °C`);
}
await transport.close();
