// Reads how long an answer asks to be left alone: RFC 9110, section 10.2.3. Knows no clock: a date is measured by the answer's own.

const longestMs = 60_000;

/** Milliseconds from 0 to 60000 (longer ones count as that); undefined where the answer says none that can be read. */
export function readRetryAfter(headers: Headers): number | undefined {
  const text = headers.get("Retry-After");
  if (text === null) return undefined;
  if (/^[0-9]+$/.test(text)) return Math.min(Number(text) * 1000, longestMs);
  const delayMs = Date.parse(text) - Date.parse(headers.get("Date") ?? "");
  return Number.isNaN(delayMs) ? undefined : Math.min(Math.max(delayMs, 0), longestMs);
}
