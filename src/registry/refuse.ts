// How a registration is refused: one wording for every broken rule. Does no I/O.

/** Throws the error every broken rule ends in. */
export function refuse(what: string, option: string, rule: string, received: unknown): never {
  const shown = typeof received === "string" ? JSON.stringify(received) : String(received);
  const message = `Cannot register ${what} as "${option}" ${rule}: received ${shown}`;
  throw typeof received === "number" ? new RangeError(message) : new TypeError(message);
}

/** Throws unless `value` is an integer from `min` to `max`. */
export function checkInteger(what: string, option: string, value: unknown, min: number, max: number): void {
  if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max) return;
  const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
  refuse(what, option, `must be an integer ${range}`, value);
}
