// A server is ready before Consul lists it: who calls by Consul has to wait.

import { createConsulClient } from "../../src/consul/consul-client.ts";
import { eventually } from "./eventually.ts";

/** Resolves when the agent lists a passing instance of the service. */
export async function untilListed(address: string, service: string): Promise<void> {
  const { health } = createConsulClient(address);
  await eventually(
    `${service} is listed`,
    async () => (await health.service(service, { passing: true })).data.length > 0,
  );
}
