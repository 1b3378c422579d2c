// Reads that may block: their parameters, their time limit, and the headers of their answers.
// https://developer.hashicorp.com/consul/api-docs/features/blocking, .../features/consistency

import { readIndex } from "./consul-index.ts";
import type { QueryOptions, QueryResult } from "./query.ts";
import type { ConsulAnswer, ConsulRequest } from "./request.ts";

/** What Consul waits where a blocking query names no time. */
const defaultWaitMs = 300_000;
const longestWaitMs = 600_000;

/**
 * The parameters and the time limit of a read. Throws TypeError or RangeError on an index or a wait that Consul would refuse or
 * misread: `wait=0s` means 5 minutes there.
 */
export function queryParameters(
  options: QueryOptions = {},
): Pick<ConsulRequest, "query" | "defaultTimeoutMs" | "waitsOn"> {
  const { index, waitMs, datacenter, consistency = "default", near, filter } = options;
  if (index !== undefined && !/^[0-9]+$/.test(index)) {
    throw new TypeError(`Cannot ask Consul to wait as "index" must be decimal: received "${index}"`);
  }
  if (waitMs !== undefined && !(waitMs >= 1 && waitMs <= longestWaitMs)) {
    throw new RangeError(
      `Cannot ask Consul to wait as "waitMs" must be from 1 to ${longestWaitMs}: received ${waitMs}`,
    );
  }
  const blocks = index !== undefined && !/^0+$/.test(index);
  const wait = waitMs === undefined ? defaultWaitMs : Math.round(waitMs);
  return {
    query: {
      dc: emptyAsAbsent(datacenter),
      ...(blocks ? { index, ...(waitMs === undefined ? {} : { wait: `${wait}ms` }) } : {}),
      stale: consistency === "stale",
      consistent: consistency === "consistent",
      near: emptyAsAbsent(near),
      filter: emptyAsAbsent(filter),
    },
    // Consul adds up to a sixteenth of the wait, so that watchers do not return together.
    ...(blocks ? { defaultTimeoutMs: (wait * 17) / 16 + 10_000, waitsOn: { indexAgent: options.indexAgent } } : {}),
  };
}

/** The data with what the answer's headers say. */
export function toQueryResult<T>(data: T, answer: ConsulAnswer): QueryResult<T> {
  const { headers, agent } = answer;
  const leader = headers.get("X-Consul-Knownleader");
  const contact = headers.get("X-Consul-Lastcontact");
  return {
    data,
    index: readIndex(headers.get("X-Consul-Index")),
    knownLeader: leader === null ? undefined : leader === "true",
    lastContactMs: contact !== null && /^[0-9]+$/.test(contact) ? Number(contact) : undefined,
    filteredByAcls: headers.get("X-Consul-Results-Filtered-By-ACLs") === "true",
    ...rightsInDoubt(answer),
    agent,
  };
}

function rightsInDoubt({ headers, hadToken }: ConsulAnswer): Pick<QueryResult<unknown>, "rightsInDoubt"> {
  // Comes with every answer of the versions that say what they hide, also where ACLs are off.
  const policy = headers.get("X-Consul-Default-ACL-Policy");
  if (policy === null) return hadToken ? { rightsInDoubt: "unsaid" } : {};
  return policy === "deny" && !hadToken ? { rightsInDoubt: "no-token" } : {};
}

function emptyAsAbsent(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}
