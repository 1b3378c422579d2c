// Reads the address of an agent. Resolves no names and opens nothing.

import { describeAddress } from "../core/describe-value.ts";

/** An address, taken apart. */
export interface ConsulAddress {
  /** As shown in messages: scheme, host and port, path prefix; no credentials, no trailing slash. */
  readonly address: string;
  /** What request paths are appended to. Differs from `address` for a unix socket, whose requests still need a host name. */
  readonly baseUrl: string;
  /** Whether what is sent there can be read on a network: cleartext to a host that is not this one. */
  readonly exposed: boolean;
  /** Credentials of the address, decoded. */
  readonly basicAuth: { readonly username: string; readonly password: string } | undefined;
}

/**
 * Reads `host:port`, `http://...`, `https://...` (with or without credentials and a path prefix) or `unix:///path`; a missing
 * scheme means http. Throws TypeError on anything else, without repeating credentials or what a query may hold.
 */
export function parseConsulAddress(text: string): ConsulAddress {
  if (/^unix:\/\//i.test(text)) {
    const path = text.slice("unix://".length);
    if (!path.startsWith("/")) throw refusal("a unix socket must be an absolute path, as unix:///path", text);
    return { address: `unix://${path}`, baseUrl: "http://localhost", exposed: false, basicAuth: undefined };
  }
  const withScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  // URL would trim and drop these silently.
  const url = /[\s\\]/.test(text) || !URL.canParse(withScheme) ? undefined : new URL(withScheme);
  if (url === undefined) throw refusal("it must be host:port or a URL", text);
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw refusal("its scheme must be http, https or unix", text);
  }
  if (withScheme.includes("?") || withScheme.includes("#"))
    throw refusal("it must have no query and no fragment", text);
  const base = url.origin + url.pathname.replace(/\/+$/, "");
  return {
    address: base,
    baseUrl: base,
    exposed: url.protocol === "http:" && !isLoopback(url.hostname),
    basicAuth: credentialsOf(url, text),
  };
}

function credentialsOf(url: URL, text: string): ConsulAddress["basicAuth"] {
  if (url.username === "" && url.password === "") return undefined;
  try {
    return { username: decodeURIComponent(url.username), password: decodeURIComponent(url.password) };
  } catch {
    throw refusal("its credentials must be percent-encoded UTF-8", text);
  }
}

/** `hostname` as URL has it: lower case, IPv4 in four parts, IPv6 in brackets. */
function isLoopback(hostname: string): boolean {
  return (
    /^(.+\.)?localhost$/.test(hostname) ||
    /^127\.[0-9]+\.[0-9]+\.[0-9]+$/.test(hostname) ||
    /^\[(::1|::ffff:7f[0-9a-f]{2}:[0-9a-f]+)\]$/.test(hostname)
  );
}

function refusal(rule: string, text: string): TypeError {
  return new TypeError(`Cannot use a Consul address as ${rule}: received ${JSON.stringify(describeAddress(text))}`);
}
