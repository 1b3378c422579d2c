// The URL of a request, of what its head says: a target and a host, as HTTP/1.1 and HTTP/2 have them. Trusts neither.

/**
 * Joins a request's URL. `host` may be empty, as HTTP/1.0 probes come without one. Throws TypeError where the two have no place in an
 * http URL.
 */
export function requestUrl(scheme: "http" | "https", host: string, target: string): string {
  const named = host || "localhost";
  // Anything but a host and a port would become part of the path.
  if (/[/?#@\\\s]/.test(named)) throw new TypeError("the host is no host");
  // node:http2's clients leave out the brackets of an IPv6 host (measured on node 24.21).
  const authority = named.replace(/^([0-9a-f:.]*:[0-9a-f:.]*):([0-9]+)$/i, "[$1]:$2");
  // A path may begin with "//", which a URL would take for a host: so it is joined, not resolved.
  const url = target.startsWith("/") ? `${scheme}://${authority}${target}` : target === "*" ? undefined : target;
  const parsed = new URL(url ?? `${scheme}://${authority}/*`);
  // A target in absolute form may name anything (RFC 9112 section 3.2.2): a fallback must get no file: and no user's password.
  if (!/^https?:$/.test(parsed.protocol) || parsed.username !== "" || parsed.password !== "") {
    throw new TypeError("the target is no http URL");
  }
  return parsed.href;
}
