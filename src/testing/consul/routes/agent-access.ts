// Who may write to the agent's services and checks, and how it names what it does not know.
// https://developer.hashicorp.com/consul/docs/security/acl/acl-rules#service-rules

import type { Core } from "../core.ts";
import type { CheckRecord, ServiceRecord } from "../model.ts";
import { type Reply, ReplyError } from "../reply.ts";

/** What the agent answers to a write that succeeded. */
export function done(core: Core): Reply {
  const headers = core.compat === "1.8" ? {} : { "Content-Type": "application/json; charset=utf-8" };
  return { status: 200, headers, body: "" };
}

/** Demands the right to register a service, and to take over the one that has its id. Throws ReplyError. */
export function vetServiceRegister(core: Core, secret: string, service: ServiceRecord): void {
  const authorizer = core.acl.authorize(secret);
  authorizer.demand("write", "service", service.name);
  const existing = core.local.service(service.id);
  if (existing !== undefined && !authorizer.can("write", "service", existing.name)) {
    authorizer.demand("write", "service", existing.name);
  }
}

/** Demands the right to change a registered service. Throws ReplyError; without ACLs an unknown one is the caller's matter. */
export function vetServiceUpdate(core: Core, secret: string, id: string): void {
  const authorizer = core.acl.authorize(secret);
  if (!authorizer.isEnforced) return;
  const service = core.local.service(id);
  if (service === undefined) throw unknownService(core, id);
  authorizer.demand("write", "service", service.name);
}

/** Demands the right to register a check. Throws ReplyError. */
export function vetCheckRegister(core: Core, secret: string, check: CheckRecord): void {
  const authorizer = core.acl.authorize(secret);
  for (const subject of [check, core.local.check(check.id)]) {
    if (subject === undefined) continue;
    if (subject.serviceName === "") authorizer.demand("write", "node", core.node.name);
    else authorizer.demand("write", "service", subject.serviceName);
  }
}

/** Demands the right to change a registered check. Throws ReplyError; without ACLs an unknown one is the caller's matter. */
export function vetCheckUpdate(core: Core, secret: string, id: string): void {
  const authorizer = core.acl.authorize(secret);
  if (!authorizer.isEnforced) return;
  const check = core.local.check(id);
  if (check === undefined)
    throw core.compat === "1.8" ? new ReplyError(500, `Unknown check "${id}"`) : unknownCheck(id);
  if (check.serviceName === "") authorizer.demand("write", "node", core.node.name);
  else authorizer.demand("write", "service", check.serviceName);
}

/** Newer versions' word for a check that is not there. */
export function unknownCheck(id: string): ReplyError {
  return new ReplyError(404, `Unknown check ID "${id}". Ensure that the check ID is passed, not the check name.`);
}

/** The word for a service that is not there, where older versions have ACLs and newer ones in any case. */
export function unknownService(core: Core, id: string): ReplyError {
  if (core.compat === "1.8") return new ReplyError(500, `Unknown service {"${id}" {}}`);
  return new ReplyError(404, `Unknown service ID "${id}". Ensure that the service ID is passed, not the service name.`);
}
