// /v1/agent/check and its like: https://developer.hashicorp.com/consul/api-docs/agent/check

import type { CheckStatus } from "../../../consul/agent.ts";
import { decodeCheckDefinition, decodeCheckUpdate } from "../definitions.ts";
import { applyFilter } from "../filter.ts";
import { checkFilter } from "../filter-types.ts";
import { createCheckRecord } from "../records.ts";
import { renderCheck } from "../render.ts";
import { jsonReply, type Reply, ReplyError } from "../reply.ts";
import { isStatus, validateCheck } from "../validation.ts";
import { done, unknownCheck, vetCheckRegister, vetCheckUpdate } from "./agent-access.ts";
import { type AgentRequest, bodyText, type Route } from "./route.ts";

/** The routes of the agent's checks. */
export const checkRoutes: readonly Route[] = [
  { path: "agent/checks", methods: { GET: list } },
  { path: "agent/check/register", methods: { PUT: register } },
  { path: "agent/check/deregister/", methods: { PUT: deregister } },
  { path: "agent/check/pass/", methods: { PUT: (request) => report(request, "passing") } },
  { path: "agent/check/warn/", methods: { PUT: (request) => report(request, "warning") } },
  { path: "agent/check/fail/", methods: { PUT: (request) => report(request, "critical") } },
  { path: "agent/check/update/", methods: { PUT: update } },
];

function list({ core, query, secret }: AgentRequest): Reply {
  const authorizer = core.acl.authorize(secret);
  const visible = core.local
    .checks()
    .filter(({ serviceName }) =>
      serviceName === ""
        ? authorizer.can("read", "node", core.node.name)
        : authorizer.can("read", "service", serviceName),
    );
  const rendered = visible.map((check) => renderCheck(check, core.node, core.compat));
  const kept = applyFilter(rendered, query.get("filter") ?? "", checkFilter);
  return jsonReply(Object.fromEntries(kept.map((check) => [check.CheckID, check])));
}

function register(request: AgentRequest): Reply {
  const { core, secret } = request;
  const settings = decodeCheckDefinition(bodyText(request), core.compat);
  validateCheck(settings);
  const service = core.local.service(settings.ServiceID);
  const id = settings.ID === "" ? settings.Name : settings.ID;
  const record = createCheckRecord(settings, id, settings.Name, service);
  vetCheckRegister(core, secret, record);
  if (settings.ServiceID !== "" && service === undefined) {
    throw new ReplyError(core.compat === "1.8" ? 500 : 404, `ServiceID "${settings.ServiceID}" does not exist`);
  }
  core.local.registerCheck({ record, settings });
  return done(core);
}

function deregister({ core, name, secret }: AgentRequest): Reply {
  vetCheckUpdate(core, secret, name);
  if (name === "") throw new ReplyError(500, "CheckID missing");
  if (!core.local.removeCheck(name) && core.compat !== "1.8") throw unknownCheck(name);
  return done(core);
}

function report({ core, name, query, secret }: AgentRequest, status: CheckStatus, output?: string): Reply {
  vetCheckUpdate(core, secret, name);
  if (!core.local.report(name, status, output ?? query.get("note") ?? "")) {
    throw core.compat === "1.8"
      ? new ReplyError(500, `CheckID "${name}" does not have associated TTL`)
      : unknownCheck(name);
  }
  return done(core);
}

function update(request: AgentRequest): Reply {
  const { Status, Output } = decodeCheckUpdate(bodyText(request));
  if (!isStatus(Status, false)) throw new ReplyError(400, `Invalid check status: '${Status}'`);
  return report(request, Status, Output);
}
