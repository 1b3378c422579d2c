// The client's catalog and status parts over HTTP. https://developer.hashicorp.com/consul/api-docs/catalog, .../status

import { isArrayOf, isRecordOf, isString } from "../core/json-shape.ts";
import type { ConsulCatalog, ConsulStatus } from "./cluster.ts";
import type { RequestOptions } from "./query.ts";
import type { SendRequest } from "./request.ts";

/** Creates the catalog and status APIs of a client. */
export function createClusterApi(send: SendRequest): { catalog: ConsulCatalog; status: ConsulStatus } {
  const read = (action: string, path: string, options: RequestOptions | undefined) =>
    send({ action, method: "GET", path, options });
  return {
    catalog: {
      async datacenters(options) {
        return (await read("list the datacenters", "/v1/catalog/datacenters", options)).json(isArrayOf(isString));
      },
      async services(options) {
        const answer = await read("list the services", "/v1/catalog/services", options);
        return answer.json(isRecordOf(isArrayOf(isString)));
      },
    },
    status: {
      async leader(options) {
        return (await read("ask for the leader", "/v1/status/leader", options)).json(isString);
      },
      async peers(options) {
        return (await read("list the raft peers", "/v1/status/peers", options)).json(isArrayOf(isString));
      },
    },
  };
}
