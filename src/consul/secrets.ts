// Takes secrets out of what is shown: texts, and errors with all that hangs on them. Keeps none of them.

/** Removes a fixed set of secrets. */
export interface Scrubber {
  /** The text with every secret replaced by `***`. */
  text(text: string): string;
  /** The value itself where no secret is in it; else a copy of the error (message, code, stack and causes) without them. */
  cause(value: unknown): unknown;
}

/** Creates a scrubber; empty secrets are ignored, the percent-encoded form of each is removed as well. */
export function createScrubber(secrets: readonly string[]): Scrubber {
  const forms = new Set(
    secrets.filter((secret) => secret !== "").flatMap((s) => [s, encodeURIComponent(s.toWellFormed())]),
  );
  // Longest first: a secret may be part of another.
  const needles = [...forms].sort((a, b) => b.length - a.length);

  const scrub = (text: string) => needles.reduce((left, needle) => left.replaceAll(needle, "***"), text);

  const holdsSecret = (value: unknown, seen: Set<unknown>): boolean => {
    if (typeof value === "string") return needles.some((needle) => value.includes(needle));
    if (typeof value === "function" || ArrayBuffer.isView(value)) return false;
    if (typeof value !== "object" || value === null || seen.has(value)) return false;
    seen.add(value);
    // A runtime's error may drag whole sockets along: what is too large to look through counts as holding one.
    if (seen.size > 500) return true;
    // Own names, not keys: an error's message, stack and cause are not enumerable.
    return Object.getOwnPropertyNames(value).some((name) => holdsSecret(readProperty(value, name), seen));
  };

  const copy = (value: unknown, depth: number): unknown => {
    if (typeof value === "string") return scrub(value);
    if (typeof value !== "object" || value === null || depth > 8) return undefined;
    const message = scrub(String(readProperty(value, "message") ?? "an error whose text held a secret"));
    const cause = copy(readProperty(value, "cause"), depth + 1);
    const inner = readProperty(value, "errors");
    const error = Array.isArray(inner)
      ? new AggregateError(
          inner.map((one) => copy(one, depth + 1)),
          message,
        )
      : new Error(message);
    if (cause !== undefined) error.cause = cause;
    for (const name of ["name", "stack", "code"]) {
      const property = readProperty(value, name);
      if (typeof property !== "string") continue;
      Object.defineProperty(error, name, {
        value: scrub(property),
        configurable: true,
        writable: true,
        enumerable: name === "code",
      });
    }
    return error;
  };

  return {
    text: scrub,
    cause: (value) => (needles.length > 0 && holdsSecret(value, new Set()) ? copy(value, 0) : value),
  };
}

/** A property, or undefined where reading it throws. */
function readProperty(object: object, name: string): unknown {
  try {
    return Reflect.get(object, name);
  } catch {
    return undefined;
  }
}
