// Why a connection ended before its server had spoken HTTP/2, in words that say what to look at. Knows errors only: opens nothing.

/** A server that was connected to, and then spoke no HTTP/2. The reason is the socket's or the session's; undefined where it just ended. */
export function neverSpokeHttp2(url: string, reason: unknown): Error {
  if (reason === undefined) return new Error(`${url} hung up before it spoke HTTP/2`);
  if (/^(ECONNRESET|EPIPE)$/.test(codeOf(reason))) {
    return new Error(`${url} hung up before it spoke HTTP/2`, { cause: reason });
  }
  return tlsFailure(url, reason) ?? new Error(`${url} does not speak HTTP/2`, { cause: reason });
}

/**
 * What an error of the TLS library means, where its own words do not say it: the answer was no TLS record, or an alert (RFC 8446, section 6.2;
 * RFC 7301, section 3.2). Codes as measured on Node 24.21 (OpenSSL), Bun 1.4.5 (BoringSSL) and Deno 2.9.6 (rustls, with OpenSSL's names).
 */
export function tlsFailure(url: string, error: unknown): Error | undefined {
  const text = textOf(codeOf(error));
  return text === undefined ? undefined : new Error(`${url} ${text}`, { cause: error });
}

function textOf(code: string): string | undefined {
  if (/^ERR_SSL_(WRONG_VERSION_NUMBER|(PACKET|DATA|ENCRYPTED)_LENGTH_TOO_LONG)$/.test(code))
    return "does not speak TLS";
  const alert = /^ERR_SSL_(?:TLSV1|TLSV13|SSLV3)_ALERT_(\w+)$/.exec(code)?.[1] ?? "";
  if (alert === "NO_APPLICATION_PROTOCOL") return "does not speak HTTP/2";
  if (alert === "CERTIFICATE_REQUIRED") return "wants a client certificate";
  return /CERTIFICATE|^UNKNOWN_CA$/.test(alert) ? "refuses the client certificate" : undefined;
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
