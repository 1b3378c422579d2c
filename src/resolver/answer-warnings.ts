// What should be heard of Consul's answers about a service: instances that cannot be called, and instances that the token may not see.
// Said when it turns up, not with every answer. Does no I/O.

import type { LogFields } from "../core/logger.ts";

/** What of an answer is amiss. */
export interface AmissAnswer {
  /** Ids of instances that cannot be called, and why. */
  readonly unusable: ReadonlyMap<string, string>;
  /** Whether the token's rights hid instances. */
  readonly filteredByAcls: boolean;
}

const hidden = "Consul hides instances from this token: it needs service:read and node:read";

/** Warns of what was not amiss before. `warned` says what was, and then what is: plain data, to be kept from one answer to the next. */
export function warnOfAnswer(
  { unusable, filteredByAcls }: AmissAnswer,
  warned: Set<string>,
  warn: (message: string, fields: LogFields) => void,
): void {
  for (const [instance, reason] of unusable) {
    if (!warned.has(instance)) warn("An instance cannot be called", { instance, reason });
  }
  if (filteredByAcls && !warned.has(hidden)) warn(hidden, {});
  warned.clear();
  for (const instance of unusable.keys()) warned.add(instance);
  if (filteredByAcls) warned.add(hidden);
}
