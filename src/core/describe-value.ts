// What messages show of a value that somebody else wrote. It may hold a secret, have no end, or contain itself: little is shown, and
// nothing is walked through.

/** A number or a boolean as it is; of anything else its kind alone. */
export function describeValue(value: unknown): string {
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (value === null) return "null";
  return Array.isArray(value) ? "a list" : typeof value;
}

/**
 * An address without its query, its fragment and its credentials, 200 characters at most. Where what stands before the path may be
 * credentials (an `@`, a colon before something that is no port), no more than the scheme.
 */
export function describeAddress(text: string): string {
  const scheme = /^[a-z][a-z0-9+.-]{0,40}:\/\//i.exec(text)?.[0] ?? "";
  const rest = text.slice(scheme.length);
  // Anywhere, and encoded too: a password may hold whatever ends it elsewhere.
  const mayHoldCredentials =
    /@|%40/i.test(rest) || !/^(?:\[[0-9a-f:.]*\]|[^:/?#%]*)(?::[0-9]{0,5})?(?:[/?#]|$)/i.test(rest);
  if (mayHoldCredentials) return `${scheme}…`;
  const [shown = ""] = rest.split(/[?#]|%3f|%23/i, 1);
  return scheme + (shown.length < rest.length ? `${shown.slice(0, 200)}…` : shown.slice(0, 200));
}
