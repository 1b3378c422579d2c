// X-Consul-Index: read and compared, never calculated with.
// https://developer.hashicorp.com/consul/api-docs/features/blocking#implementation-details

/**
 * Orders two indexes as Consul sent them: negative when `a` is older than `b`, 0 when equal, positive when newer. Exact over
 * the whole uint64 range. Only indexes of one query at one agent can be compared. Throws TypeError when one is not decimal.
 */
export function compareIndex(a: string, b: string): number {
  const left = toBigInt(a);
  const right = toBigInt(b);
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

/** The header's value, at least "1" (an index of 0 would turn a blocking read into a busy loop); undefined when absent or no number. */
export function readIndex(header: string | null): string | undefined {
  if (header === null || !decimal.test(header)) return undefined;
  return BigInt(header) < 1n ? "1" : header;
}

const decimal = /^[0-9]+$/;

function toBigInt(index: string): bigint {
  if (!decimal.test(index)) throw new TypeError(`Cannot compare an index as it must be decimal: received "${index}"`);
  return BigInt(index);
}
