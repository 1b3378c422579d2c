// What Consul refuses in a registration, with its texts, in its order, and nothing more: ports, hosts and short TTLs pass as
// they do there. https://developer.hashicorp.com/consul/api-docs/agent/service#register-service

import type { CheckStatus } from "../../consul/agent.ts";
import type { CheckSettings, ServiceDefinition } from "./definitions.ts";
import { ReplyError } from "./reply.ts";

/** Throws ReplyError 400 where Consul would, and where the definition asks for what the embedded agent does not do. */
export function validateService(definition: ServiceDefinition): void {
  if (definition.Name === "") throw new ReplyError(400, "Missing service name");
  if (isAnyAddress(definition.Address)) throw new ReplyError(400, "Invalid service address");
  validateWeights(definition);
  validateMeta(definition.Meta ?? {});
  if (definition.Ports !== undefined && definition.Ports.length > 0 && definition.Port !== 0) {
    throw new ReplyError(400, "Invalid service: Port and Ports cannot both be specified");
  }
  for (const [field, isUsed] of Object.entries({
    Kind: definition.Kind !== "",
    Proxy: definition.Proxy,
    Connect: definition.Connect,
    SocketPath: definition.SocketPath !== "",
  })) {
    if (isUsed) throw unsupported(field);
  }
}

/** The checks a definition means: `Check` unless it is empty, then `Checks`. Throws ReplyError 400. */
export function validateServiceChecks(definition: ServiceDefinition): readonly CheckSettings[] {
  const { Check, Checks = [] } = definition;
  const checks = isEmptyCheck(Check) ? Checks : [Check, ...Checks];
  for (const check of checks) validateCheckType(check);
  for (const check of checks) {
    if (!isStatus(check.Status, true)) {
      throw new ReplyError(400, "Status for checks must 'passing', 'warning', 'critical'");
    }
  }
  for (const check of checks) refuseUnsupported(check);
  return checks;
}

/** Throws ReplyError 400 where Consul would refuse a check registered on its own. */
export function validateCheck(definition: CheckSettings): void {
  if (definition.Name === "") throw new ReplyError(400, "Missing check name");
  if (!isStatus(definition.Status, true)) throw new ReplyError(400, "Bad check status");
  validateCheckType(definition);
  refuseUnsupported(definition);
}

/** Whether a text is a check's status; "" counts only where `allowEmpty`. */
export function isStatus(text: string, allowEmpty: boolean): text is CheckStatus {
  return text === "passing" || text === "warning" || text === "critical" || (allowEmpty && text === "");
}

// ipaddr.IsAny compares spellings: "0:0:0:0:0:0:0:0" passes.
function isAnyAddress(address: string): boolean {
  return address === "0.0.0.0" || address === "::" || address === "[::]";
}

function validateWeights({ Weights }: ServiceDefinition): void {
  if (Weights === undefined) return;
  const invalid = (text: string) => new ReplyError(400, `Invalid Weights: ${text}`);
  if (Weights.Passing < 1) throw invalid("Passing must be greater than 0");
  if (Weights.Warning < 0) throw invalid("Warning must be greater or equal than 0");
  if (Weights.Passing > 65535 || Weights.Warning > 65535) throw invalid("DNS Weight must be between 0 and 65535");
}

function validateMeta(meta: Readonly<Record<string, string>>): void {
  const pairs = Object.entries(meta);
  if (pairs.length > 64) {
    throw new ReplyError(400, "Invalid Service Meta: Node metadata cannot contain more than 64 key/value pairs");
  }
  for (const [key, value] of pairs) {
    const fault = metaFault(key, value);
    if (fault !== undefined) {
      throw new ReplyError(400, `Invalid Service Meta: Couldn't load metadata pair ('${key}', '${value}'): ${fault}`);
    }
  }
}

function metaFault(key: string, value: string): string | undefined {
  if (key === "") return "Key cannot be blank";
  if (!/^[a-zA-Z0-9_-]+$/.test(key)) return "Key contains invalid characters";
  if (key.length > 128) return "Key is too long (limit: 128 characters)";
  if (key.startsWith("consul-")) return "Key prefix 'consul-' is reserved for internal use";
  if (new TextEncoder().encode(value).length > 512) return "Value is too long (limit: 512 characters)";
  return undefined;
}

function validateCheckType(check: CheckSettings): void {
  const invalid = (text: string) => new ReplyError(400, `Invalid check: ${text}`);
  const isScript = (check.ScriptArgs ?? []).length > 0;
  const isAlias = check.AliasNode !== "" || check.AliasService !== "";
  const isProbe =
    isScript || check.HTTP !== "" || check.TCP !== "" || check.GRPC !== "" || check.UDP !== "" || check.H2PING !== "";
  if (check.Interval > 0 && check.TTL > 0) throw invalid("Interval and TTL cannot both be specified");
  if (isProbe && check.Interval <= 0) throw invalid("Interval must be > 0 for Script, HTTP, or TCP checks");
  if (isProbe && isAlias) throw invalid("Interval cannot be set for Alias checks");
  if (isAlias && check.TTL > 0) throw invalid("TTL must be not be set for Alias checks");
  if (!isProbe && !isAlias && check.TTL <= 0) throw invalid("TTL must be > 0 for TTL checks");
  if (check.OutputMaxSize < 0) throw invalid("MaxOutputMaxSize must be positive");
}

// What a real agent runs and the embedded one does not: refused by name, never ignored.
function refuseUnsupported(check: CheckSettings): void {
  if ((check.ScriptArgs ?? []).length > 0 || check.DockerContainerID !== "" || check.Shell !== "") {
    // Consul's own answer where scripts are not enabled, which is its default.
    throw new ReplyError(
      500,
      "Scripts are disabled on this agent from remote calls; to enable, configure 'enable_script_checks' to true",
    );
  }
  for (const field of ["AliasNode", "AliasService", "UDP", "OSService", "H2PING"] as const) {
    if (check[field] !== "") throw unsupported(field);
  }
}

function unsupported(field: string): ReplyError {
  return new ReplyError(400, `The embedded agent does not support "${field}"; a real Consul agent does`);
}

// Go compares with the zero value: an empty Header is not nothing.
function isEmptyCheck(check: CheckSettings): boolean {
  return Object.values(check).every((value) => value === "" || value === 0 || value === false || value === undefined);
}
