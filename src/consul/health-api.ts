// The health API over HTTP: paths, parameters and order of health.ts. https://developer.hashicorp.com/consul/api-docs/health

import { isArrayOf, isObject, isString } from "../core/json-shape.ts";
import { isHealthCheck } from "./agent-api.ts";
import { pathSegment } from "./api-path.ts";
import type { ConsulHealth, ServiceEntry } from "./health.ts";
import { queryParameters, toQueryResult } from "./query-request.ts";
import type { SendRequest } from "./request.ts";

/** Creates the health API of a client. */
export function createHealthApi(send: SendRequest): ConsulHealth {
  return {
    async service(name, options = {}) {
      const { query, ...limit } = queryParameters(options);
      const path = `/v1/health/service/${pathSegment("a service", name)}`;
      const answer = await send({
        action: "read the health of a service",
        method: "GET",
        path,
        // A repeated `tag` means all of them.
        query: { ...query, passing: options.passing ? "true" : undefined, tag: options.tags },
        options,
        ...limit,
      });
      const entries = answer.json(isArrayOf(isServiceEntry));
      return toQueryResult(options.near ? entries : entries.sort(byNodeAndId), answer);
    },
    async checks(name, options = {}) {
      const path = `/v1/health/checks/${pathSegment("a service", name)}`;
      const answer = await send({
        action: "read the checks of a service",
        method: "GET",
        path,
        options,
        ...queryParameters(options),
      });
      return toQueryResult(answer.json(isArrayOf(isHealthCheck)), answer);
    },
  };
}

function isServiceEntry(value: unknown): value is ServiceEntry {
  if (!isObject(value) || !isObject(value.Node) || !isObject(value.Service)) return false;
  return (
    isString(value.Node.Node) &&
    isString(value.Node.Address) &&
    isString(value.Service.ID) &&
    isArrayOf(isHealthCheck)(value.Checks)
  );
}

/** Consul's own order changes from answer to answer. */
function byNodeAndId(a: ServiceEntry, b: ServiceEntry): number {
  return compare(a.Node.Node, b.Node.Node) || compare(a.Service.ID, b.Service.ID);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
