// Puts together what sends a client's requests: to one agent, or to several.

import type { ResolvedConsulOptions } from "./client-options.ts";
import { createFailover } from "./failover.ts";
import { createRequester, type SendRequest } from "./request.ts";

/** Creates what sends the requests of a client. */
export function createSender({ agents }: ResolvedConsulOptions): SendRequest {
  return agents.length === 1 ? createRequester(agents[0]) : createFailover(agents);
}
