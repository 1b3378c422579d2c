// How a bad option of `serve` is named to whoever gave it.

import { describeValue } from "../core/describe-value.ts";

/** Throws: TypeError, or what is given. */
export function refuseOption(
  option: string,
  rule: string,
  value: unknown,
  kind: typeof TypeError | typeof RangeError = TypeError,
): never {
  throw new kind(`Cannot serve as "${option}" ${rule}: received ${quote(value)}`);
}

/** Texts in quotes: "5" is no number, and "" is something. */
function quote(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : describeValue(value);
}
