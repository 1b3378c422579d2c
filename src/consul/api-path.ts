// Puts names, ids and keys into request paths so that they arrive as they are, or refuses them.

/**
 * One name or id as a path segment. Throws TypeError on an empty one, on `.` and `..` (URLs resolve these even when
 * escaped, so the request would go elsewhere) and on text that is no Unicode. `what` names it in the message.
 */
export function pathSegment(what: string, text: string): string {
  if (typeof text !== "string" || text === "") throw refusal(what, "must be a non-empty string", text);
  const parts = text.split("/");
  if (parts.some(isDots)) throw refusal(what, 'must have no part "." or ".."', text);
  // Consul's HTTP server redirects a path with an empty segment inside, escaped slashes included, to another path.
  if (parts.slice(0, -1).includes("")) throw refusal(what, 'must not begin with "/" and must have no "//"', text);
  return percentEncode(what, text);
}

/**
 * A key or prefix of the key-value store as a path, its slashes kept. Throws TypeError on keys that cannot be sent: a
 * leading slash, an empty segment inside, a segment `.` or `..`. The empty text is valid here: the prefix of all keys.
 */
export function keyPath(key: string): string {
  if (typeof key !== "string") throw refusal("a key", "must be a string", key);
  const segments = key.split("/");
  if (segments.some(isDots)) throw refusal("a key", 'must have no segment "." or ".."', key);
  if (segments.slice(0, -1).includes("")) throw refusal("a key", 'must not begin with "/" and must have no "//"', key);
  return segments.map((segment) => percentEncode("a key", segment)).join("/");
}

const isDots = (part: string) => part === "." || part === "..";

function percentEncode(what: string, text: string): string {
  if (!text.isWellFormed()) throw refusal(what, "must be well-formed Unicode", text);
  // Consul answers 400, without a word, to a path with characters that cannot be printed.
  if (/\p{Cc}/u.test(text)) throw refusal(what, "must have no control characters", text);
  // A colon needs no escape in a path (RFC 3986, section 3.3), and ids like 127.0.0.1:10000:HelloService stay readable.
  return encodeURIComponent(text).replaceAll("%3A", ":");
}

function refusal(what: string, rule: string, received: unknown): TypeError {
  return new TypeError(
    `Cannot name ${what} to Consul as it ${rule}: received ${JSON.stringify(received) ?? typeof received}`,
  );
}
