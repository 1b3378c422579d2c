// Checks the options of a health check and fills in its defaults. Does no I/O.

import { formatHostPort, parseHostPort, stripBrackets } from "../core/host-port.ts";
import type {
  CheckOptions,
  GrpcCheckOptions,
  HttpCheckOptions,
  TcpCheckOptions,
  TtlCheckOptions,
} from "./check-options.ts";
import { checkInteger, refuse } from "./refuse.ts";

/** A check with every default in its place. */
export type ResolvedCheck =
  | Required<TtlCheckOptions>
  | (GrpcCheckOptions & { readonly target: string; readonly intervalMs: number })
  | (HttpCheckOptions & { readonly url: string; readonly intervalMs: number })
  | (TcpCheckOptions & { readonly target: string; readonly intervalMs: number });

/** Throws TypeError or RangeError that names the option, the rule and the value. */
export function resolveCheck(what: string, check: CheckOptions, host: string, port: number): ResolvedCheck {
  const target = formatHostPort(stripBrackets(host), port);
  switch (check.type) {
    case "ttl":
      return resolveTtl(what, check);
    case "grpc": {
      const resolved = { ...check, ...resolveProbe(what, check), target: check.target ?? target };
      const slash = resolved.target.indexOf("/");
      checkTarget(what, slash === -1 ? resolved.target : resolved.target.slice(0, slash));
      return resolved;
    }
    case "tcp": {
      const resolved = { ...check, ...resolveProbe(what, check), target: check.target ?? target };
      checkTarget(what, resolved.target);
      return resolved;
    }
    case "http": {
      const secure = check.tls !== undefined && check.tls !== false;
      const url = check.url ?? `${secure ? "https" : "http"}://${target}/healthz`;
      checkUrl(what, url);
      if (check.method !== undefined && !/^[A-Z]+$/.test(check.method)) {
        refuse(what, "check.method", "must be an HTTP method in capitals", check.method);
      }
      return { ...check, ...resolveProbe(what, check), url };
    }
    default:
      check satisfies never;
      return refuse(what, "check.type", "must be ttl, grpc, http or tcp", (check as CheckOptions).type);
  }
}

function resolveTtl(what: string, check: TtlCheckOptions): Required<TtlCheckOptions> {
  const ttlMs = check.ttlMs ?? 20_000;
  checkInteger(what, "check.ttlMs", ttlMs, 1, Number.MAX_SAFE_INTEGER);
  const intervalMs = check.intervalMs ?? Math.min(5000, Math.ceil(ttlMs / 4));
  checkInteger(what, "check.intervalMs", intervalMs, 1, Number.MAX_SAFE_INTEGER);
  // With less than half the TTL, one lost heartbeat is no outage.
  if (intervalMs * 2 >= ttlMs) {
    refuse(what, "check.intervalMs", `must be less than half the TTL of ${ttlMs} ms`, intervalMs);
  }
  return { type: "ttl", ttlMs, intervalMs };
}

function resolveProbe(what: string, check: Exclude<CheckOptions, TtlCheckOptions>): { readonly intervalMs: number } {
  const { intervalMs = 5000 } = check;
  checkInteger(what, "check.intervalMs", intervalMs, 1, Number.MAX_SAFE_INTEGER);
  if (check.timeoutMs !== undefined) {
    checkInteger(what, "check.timeoutMs", check.timeoutMs, 1, Number.MAX_SAFE_INTEGER);
  }
  return { intervalMs };
}

function checkTarget(what: string, target: string): void {
  try {
    if (parseHostPort(target).port > 0) return;
  } catch {
    // Refused below, in this file's words.
  }
  refuse(what, "check.target", "must be host:port", target);
}

function checkUrl(what: string, text: string): void {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== "http:" && url.protocol !== "https:")) {
    refuse(what, "check.url", "must be an http or https URL", text);
  }
}
