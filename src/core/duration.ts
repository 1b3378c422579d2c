// Durations as Go and Consul write them: 500ms, 20s, 1m30s.
// https://pkg.go.dev/time#ParseDuration

const unitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/**
 * Reads a Go duration and returns milliseconds. `0` alone needs no unit; any other bare number, a sign or an unknown unit
 * throws TypeError.
 */
export function parseDuration(text: string): number {
  if (text === "0") return 0;
  const part = /([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)/y;
  let totalMs = 0;
  while (part.lastIndex < text.length || text === "") {
    const match = part.exec(text);
    if (match === null) {
      throw new TypeError(`Cannot read a duration as it must be written like 500ms, 20s or 1m30s: received "${text}"`);
    }
    totalMs += Number(match[1]) * (unitMs[match[2] ?? ""] ?? 0);
  }
  return totalMs;
}

/** Writes milliseconds as Consul reads them: whole seconds as `20s`, anything else as `1500ms`. */
export function formatDuration(durationMs: number): string {
  return durationMs % 1000 === 0 ? `${durationMs / 1000}s` : `${durationMs}ms`;
}
