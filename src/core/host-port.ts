// host:port text, both ways, with IPv6 in brackets. Validates shape, resolves nothing.

/** A host without brackets and a port. */
export interface HostPort {
  /** Host name or IP literal; IPv6 without brackets. */
  readonly host: string;
  /** 0 to 65535. */
  readonly port: number;
}

/** `host:port`, with brackets around an IPv6 host (added if missing). */
export function formatHostPort(host: string, port: number): string {
  return host.includes(":") && !host.startsWith("[") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The host without the brackets of an IPv6 literal. */
export function stripBrackets(host: string): string {
  return host.startsWith("[") && host.endsWith("]") ? host.slice(1, -1) : host;
}

/**
 * Reads `host:port` or `[ipv6]:port`. Throws TypeError when the text has another shape, RangeError when the port is not
 * an integer from 0 to 65535.
 */
export function parseHostPort(text: string): HostPort {
  const match = /^(?:\[([0-9a-fA-F:.%]+)\]|([^:\s[\]/]+)):([0-9]+)$/.exec(text);
  if (match === null)
    throw new TypeError(`Cannot read an address as it must be "host:port" or "[ipv6]:port": received "${text}"`);
  const port = Number(match[3]);
  if (port > 65535)
    throw new RangeError(`Cannot read an address as its port must be at most 65535: received "${text}"`);
  return { host: match[1] ?? match[2] ?? "", port };
}
