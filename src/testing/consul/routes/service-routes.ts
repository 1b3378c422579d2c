// /v1/agent/service and its like: https://developer.hashicorp.com/consul/api-docs/agent/service

import { decodeServiceDefinition } from "../definitions.ts";
import { applyFilter } from "../filter.ts";
import { agentServiceFilter } from "../filter-types.ts";
import { createServiceChecks, createServiceRecord } from "../records.ts";
import { renderAgentService } from "../render.ts";
import { jsonReply, type Reply, ReplyError } from "../reply.ts";
import { validateService, validateServiceChecks } from "../validation.ts";
import { done, unknownService, vetServiceRegister, vetServiceUpdate } from "./agent-access.ts";
import { type AgentRequest, bodyText, parseBool, type Route } from "./route.ts";

/** The routes of the agent's services. */
export const serviceRoutes: readonly Route[] = [
  { path: "agent/services", methods: { GET: list } },
  { path: "agent/service/register", methods: { PUT: register } },
  { path: "agent/service/deregister/", methods: { PUT: deregister } },
  { path: "agent/service/maintenance/", methods: { PUT: maintain } },
  { path: "agent/service/", methods: { GET: show } },
];

/** Reads `enable` and `reason` of a maintenance request. Throws ReplyError 400. */
export function parseMaintenance(query: URLSearchParams): { readonly isEnabled: boolean; readonly reason: string } {
  const text = query.get("enable");
  if (text === null) throw new ReplyError(400, "Missing value for enable");
  const isEnabled = parseBool(text);
  if (isEnabled === undefined) throw new ReplyError(400, `Invalid value for enable: "${text}"`);
  return { isEnabled, reason: query.get("reason") ?? "" };
}

function list({ core, query, secret }: AgentRequest): Reply {
  const authorizer = core.acl.authorize(secret);
  const visible = core.local.services().filter((service) => authorizer.can("read", "service", service.name));
  const rendered = visible.map((service) => renderAgentService(service, core.compat));
  const kept = applyFilter(rendered, query.get("filter") ?? "", agentServiceFilter);
  return jsonReply(Object.fromEntries(kept.map((service) => [service.ID, service])));
}

function show({ core, name, query, secret }: AgentRequest): Reply {
  if (query.has("hash")) throw new ReplyError(400, 'The embedded agent does not block on "hash"');
  const authorizer = core.acl.authorize(secret);
  const service = core.local.service(name);
  if (service === undefined) throw new ReplyError(404, `unknown service ID: ${name}`);
  authorizer.demand("read", "service", service.name, true);
  const rendered = renderAgentService(service, core.compat);
  const hash = contentHash(JSON.stringify(rendered));
  return jsonReply({ ...rendered, ContentHash: hash }, { "X-Consul-Contenthash": hash });
}

function register(request: AgentRequest): Reply {
  const { core, query, secret } = request;
  const definition = decodeServiceDefinition(bodyText(request), core.compat);
  validateService(definition);
  const settings = validateServiceChecks(definition);
  const service = createServiceRecord(definition);
  vetServiceRegister(core, secret, service);
  const checks = createServiceChecks(service, settings).map((record, position) => {
    const own = settings[position];
    if (own === undefined) throw new RangeError("Cannot pair checks with their settings");
    return { record, settings: own };
  });
  // "1" and the like are ignored, as in Consul.
  const replace = query.get("replace-existing-checks");
  core.local.registerService(service, checks, replace === "" || replace === "true");
  return done(core);
}

function deregister({ core, name, secret }: AgentRequest): Reply {
  vetServiceUpdate(core, secret, name);
  if (name === "") throw new ReplyError(500, "ServiceID missing");
  if (!core.local.removeService(name) && core.compat !== "1.8") throw unknownService(core, name);
  return done(core);
}

function maintain({ core, name, query, secret }: AgentRequest): Reply {
  if (name === "") throw new ReplyError(400, "Missing service ID");
  const { isEnabled, reason } = parseMaintenance(query);
  vetServiceUpdate(core, secret, name);
  const service = core.local.service(name);
  if (service === undefined) {
    throw core.compat === "1.8"
      ? new ReplyError(404, `No service registered with ID "${name}"`)
      : unknownService(core, name);
  }
  if (isEnabled) core.local.enableMaintenance(service, reason);
  else core.local.disableMaintenance(service);
  return done(core);
}

/** FNV-1a, 64 bits: equal for equal services, and that is all that is promised of it. */
function contentHash(text: string): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return hash.toString(16).padStart(16, "0");
}
