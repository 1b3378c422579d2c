// Checks a registration and fills in its defaults, before anything is sent: Consul itself accepts a port of -1 and the
// address "not a host!!" (measured on 1.8.7 and 1.22.7). Does no I/O.

import { asConsulClient, type ConsulClient } from "../consul/consul-client.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { formatHostPort, stripBrackets } from "../core/host-port.ts";
import { type Logger, silentLogger } from "../core/logger.ts";
import { type Random, systemRandom } from "../core/random.ts";
import { checkInteger, refuse } from "./refuse.ts";
import type { HealthReport, RegisterOptions } from "./register-options.ts";
import { type ResolvedCheck, resolveCheck } from "./validate-check.ts";

/** A registration that Consul will take, with every default in its place. */
export interface ResolvedRegistration {
  readonly client: ConsulClient;
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly id: string;
  readonly tags: readonly string[];
  readonly meta: Readonly<Record<string, string>>;
  readonly weights: { readonly passing: number; readonly warning: number };
  readonly check: ResolvedCheck;
  /** 0: never. */
  readonly deregisterAfterMs: number;
  readonly failoverAfterMs: number;
  readonly health: (() => HealthReport | Promise<HealthReport>) | undefined;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
}

/** Throws TypeError or RangeError that names the option, the rule and the value. */
export function resolveRegistration(options: RegisterOptions): ResolvedRegistration {
  const { name, host, port, meta = {}, weights = { passing: 1, warning: 1 } } = options;
  checkLabel(`a service`, "name", name);
  const what = `"${name}"`;
  checkHost(what, host);
  checkInteger(what, "port", port, 1, 65535);
  const id = options.id ?? `${formatHostPort(host, port)}:${name}`;
  checkLabel(what, "id", id);
  const tags = options.tags ?? [name];
  for (const tag of tags) {
    if (typeof tag !== "string" || tag === "") refuse(what, "tags", "must be non-empty strings", tag);
  }
  checkMeta(what, meta);
  checkInteger(what, "weights.passing", weights.passing, 1, 65535);
  checkInteger(what, "weights.warning", weights.warning, 0, 65535);
  const check = resolveCheck(what, options.check ?? { type: "ttl" }, host, port);
  if (options.health !== undefined && check.type !== "ttl") {
    refuse(what, "health", "needs a check of type ttl (the agent asks by itself otherwise)", check.type);
  }
  const deregisterAfterMs = options.deregisterAfterMs === false ? 0 : (options.deregisterAfterMs ?? 600_000);
  checkInteger(what, "deregisterAfterMs", deregisterAfterMs, 0, Number.MAX_SAFE_INTEGER);
  const failoverAfterMs = options.failoverAfterMs ?? check.intervalMs * 2;
  checkInteger(what, "failoverAfterMs", failoverAfterMs, 1, Number.MAX_SAFE_INTEGER);
  return {
    client: asConsulClient(options.consul),
    failoverAfterMs,
    name,
    host,
    port,
    id,
    tags: [...tags],
    meta: { ...meta },
    weights: { passing: weights.passing, warning: weights.warning },
    check,
    deregisterAfterMs,
    health: options.health,
    logger: options.logger ?? silentLogger,
    clock: options.clock ?? systemClock,
    random: options.random ?? systemRandom,
  };
}

/** Names and ids become one segment of a URL's path, so what a URL would rewrite cannot be one. */
function checkLabel(what: string, option: string, value: unknown): void {
  if (typeof value !== "string" || value === "") refuse(what, option, "must be a non-empty string", value);
  if (hasControlCharacter(value)) refuse(what, option, "must not hold control characters", value);
  if (value !== value.trim()) refuse(what, option, "must not begin or end with a space", value);
  if (value.includes("/")) refuse(what, option, `must not hold "/"`, value);
  if (value === "." || value === "..") refuse(what, option, "must not be a path's dots", value);
}

function hasControlCharacter(text: string): boolean {
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return true;
  }
  return false;
}

function checkHost(what: string, host: unknown): asserts host is string {
  const rule = "must be a host name or an IP literal";
  if (typeof host !== "string" || host === "") refuse(what, "host", rule, host);
  const bare = stripBrackets(host);
  if (bare.includes(":")) {
    // The URL parser is the one IPv6 parser that every runtime has; it knows no zones, and a zone means nothing to others.
    const canonical = parseIpv6(bare);
    if (canonical === undefined) refuse(what, "host", rule, host);
    if (canonical === "[::]" || canonical === "[::ffff:0:0]") refuseUnspecified(what, host);
    return;
  }
  if (bare !== host) refuse(what, "host", "must have brackets around IPv6 literals only", host);
  if (/^[0-9.]+$/.test(host)) {
    const octets = host.split(".");
    if (octets.length !== 4 || !octets.every((octet) => /^(0|[1-9][0-9]{0,2})$/.test(octet) && Number(octet) <= 255)) {
      refuse(what, "host", rule, host);
    }
    if (host === "0.0.0.0") refuseUnspecified(what, host);
    return;
  }
  // RFC 1123, section 2.1, and underscores, which container networks use.
  const labels = host.replace(/\.$/, "").split(".");
  if (host.length > 253 || !labels.every((label) => /^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/.test(label))) {
    refuse(what, "host", rule, host);
  }
}

function parseIpv6(bare: string): string | undefined {
  try {
    return new URL(`http://[${bare}]`).hostname;
  } catch {
    return undefined;
  }
}

function refuseUnspecified(what: string, host: string): never {
  refuse(what, "host", "must be an address that others can connect to", host);
}

// The limits of Consul's ValidateServiceMetadata; beyond them it answers 400.
function checkMeta(what: string, meta: Readonly<Record<string, string>>): void {
  const pairs = Object.entries(meta);
  if (pairs.length > 64) refuse(what, "meta", "must hold at most 64 pairs", pairs.length);
  for (const [key, value] of pairs) {
    if (!/^[A-Za-z0-9_-]{1,128}$/.test(key)) {
      refuse(what, "meta", "must have keys of 1 to 128 characters A-Z a-z 0-9 _ -", key);
    }
    if (key.startsWith("consul-")) refuse(what, "meta", `must have no key that begins with "consul-"`, key);
    if (typeof value !== "string") refuse(what, `meta.${key}`, "must be a string", value);
    if (new TextEncoder().encode(value).length > 512) refuse(what, `meta.${key}`, "must be at most 512 bytes", value);
  }
}
