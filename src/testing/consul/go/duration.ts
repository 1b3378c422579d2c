// Durations read and written as Go's time package does, with its error texts, which Consul passes on to its callers.
// https://pkg.go.dev/time#ParseDuration. The rest of lictor reads durations with src/core/duration.ts.

const unitNs: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/** Milliseconds of a Go duration; may be negative or a fraction. Throws Error with Go's own text. */
export function parseGoDuration(text: string): number {
  const invalid = () => new Error(`time: invalid duration "${text}"`);
  const negative = text.startsWith("-");
  let rest = /^[+-]/.test(text) ? text.slice(1) : text;
  if (rest === "0") return 0;
  if (rest === "") throw invalid();
  let totalNs = 0;
  while (rest !== "") {
    const digits = /^[0-9]*\.?[0-9]*/.exec(rest)?.[0] ?? "";
    if (!/[0-9]/.test(digits)) throw invalid();
    rest = rest.slice(digits.length);
    const unit = /^[^.0-9]*/.exec(rest)?.[0] ?? "";
    if (unit === "") throw new Error(`time: missing unit in duration "${text}"`);
    const scale = Object.hasOwn(unitNs, unit) ? unitNs[unit] : undefined;
    if (scale === undefined) throw new Error(`time: unknown unit "${unit}" in duration "${text}"`);
    rest = rest.slice(unit.length);
    totalNs += Number(digits) * scale;
    // int64 nanoseconds: 292 years.
    if (totalNs >= 2 ** 63) throw invalid();
  }
  return ((negative ? -1 : 1) * totalNs) / 1e6;
}

/** A duration as Go prints it: `1m30s`, `10s`, `1.5s`, `300ms`; "" for 0, as Consul leaves unset durations. */
export function formatGoDuration(durationMs: number): string {
  if (durationMs === 0) return "";
  if (durationMs < 1) return `${durationMs * 1000}µs`;
  if (durationMs < 1000) return `${durationMs}ms`;
  const hours = Math.floor(durationMs / 3_600_000);
  const minutes = Math.floor((durationMs % 3_600_000) / 60_000);
  const seconds = (durationMs % 60_000) / 1000;
  return `${hours > 0 ? `${hours}h` : ""}${hours > 0 || minutes > 0 ? `${minutes}m` : ""}${seconds}s`;
}
