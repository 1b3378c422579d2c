// The agent's API over HTTP: paths, parameters and bodies of agent.ts.
// https://developer.hashicorp.com/consul/api-docs/agent/service, .../agent/check

import { isObject, isRecordOf, isString } from "../core/json-shape.ts";
import type { AgentService, ConsulAgent, HealthCheck } from "./agent.ts";
import { pathSegment } from "./api-path.ts";
import type { RequestOptions } from "./query.ts";
import type { ConsulRequest, SendRequest } from "./request.ts";

/** Creates the agent API of a client. */
export function createAgentApi(send: SendRequest): ConsulAgent {
  const put = async (
    action: string,
    path: string,
    options: RequestOptions | undefined,
    rest: Pick<ConsulRequest, "query" | "body" | "isAnswer"> = {},
  ): Promise<void> => {
    await send({ action, method: "PUT", path, options, ...rest });
  };
  const get = (action: string, path: string, options: (RequestOptions & { readonly filter?: string }) | undefined) =>
    send({ action, method: "GET", path, options, query: { filter: options?.filter || undefined } });
  const heartbeat = (verb: "pass" | "warn" | "fail", checkId: string, options?: RequestOptions & { note?: string }) =>
    put(`${verb} a check`, `/v1/agent/check/${verb}/${pathSegment("a check", checkId)}`, options, {
      query: { note: options?.note || undefined },
    });

  return {
    async registerService(registration, options) {
      await put("register a service", "/v1/agent/service/register", options, {
        // Only the word "true" counts: "1" is silently ignored (measured on Consul 1.8.7).
        query: { "replace-existing-checks": options?.replaceExistingChecks ? "true" : undefined },
        body: JSON.stringify(registration),
      });
    },
    async deregisterService(serviceId, options) {
      const path = `/v1/agent/service/deregister/${pathSegment("a service", serviceId)}`;
      await put("deregister a service", path, options, { isAnswer: isUnknown(/unknown service/i) });
    },
    async services(options) {
      return (await get("list the agent's services", "/v1/agent/services", options)).json(isRecordOf(isAgentService));
    },
    async service(serviceId, options) {
      const path = `/v1/agent/service/${pathSegment("a service", serviceId)}`;
      const isAnswer = isUnknown(/unknown service/i);
      const answer = await send({ action: "read an agent's service", method: "GET", path, options, isAnswer });
      return answer.status === 200 ? answer.json(isAgentService) : undefined;
    },
    async checks(options) {
      return (await get("list the agent's checks", "/v1/agent/checks", options)).json(isRecordOf(isHealthCheck));
    },
    async self(options) {
      return (await get("read the agent's configuration", "/v1/agent/self", options)).json(isObject);
    },
    async registerCheck(registration, options) {
      await put("register a check", "/v1/agent/check/register", options, { body: JSON.stringify(registration) });
    },
    async deregisterCheck(checkId, options) {
      const path = `/v1/agent/check/deregister/${pathSegment("a check", checkId)}`;
      await put("deregister a check", path, options, { isAnswer: isUnknown(/unknown check/i) });
    },
    async passCheck(checkId, options) {
      await heartbeat("pass", checkId, options);
    },
    async warnCheck(checkId, options) {
      await heartbeat("warn", checkId, options);
    },
    async failCheck(checkId, options) {
      await heartbeat("fail", checkId, options);
    },
    async updateCheck(checkId, { status, output }, options) {
      await put("update a check", `/v1/agent/check/update/${pathSegment("a check", checkId)}`, options, {
        body: JSON.stringify({ Status: status, Output: output }),
      });
    },
    async serviceMaintenance(serviceId, enable, options) {
      const action = enable ? "put a service in maintenance" : "end a service's maintenance";
      await put(action, `/v1/agent/service/maintenance/${pathSegment("a service", serviceId)}`, options, {
        query: { enable: String(enable), reason: options?.reason || undefined },
      });
    },
  };
}

/**
 * Accepts the answer that says the agent does not know the id: 404, or 500 where ACLs are on in old versions. Not any 404: a
 * proxy that does not know the path must not pass for an agent.
 */
function isUnknown(text: RegExp): NonNullable<ConsulRequest["isAnswer"]> {
  return (status, _headers, body) => (status === 404 || status === 500) && text.test(body);
}

function isAgentService(value: unknown): value is AgentService {
  return isObject(value) && isString(value.ID) && isString(value.Service);
}

/** Also what health answers are checked by. */
export function isHealthCheck(value: unknown): value is HealthCheck {
  return isObject(value) && isString(value.CheckID) && isString(value.Status);
}
