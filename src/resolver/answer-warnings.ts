// What should be heard of Consul's answers about a service: instances that cannot be called, and instances that the token may not see.
// Said when it turns up, not with every answer. Does no I/O.

import type { QueryResult } from "../consul/query.ts";
import type { LogFields } from "../core/logger.ts";

/** What an answer says of rights. */
export type RightsOfAnswer = Pick<QueryResult<unknown>, "filteredByAcls" | "rightsInDoubt">;

/** What of an answer is amiss. */
export interface AmissAnswer extends RightsOfAnswer {
  /** Ids of instances that cannot be called, and why. */
  readonly unusable: ReadonlyMap<string, string>;
  /** Instances that can be called. */
  readonly instances: number;
}

const hidden = "Consul hides instances from this token: it needs service:read and node:read";
const anonymous =
  "Consul denies by default and was sent no token: to list instances takes one with service:read and node:read";

/** Warns of what was not amiss before. `warned` says what was, and then what is: plain data, to be kept from one answer to the next. */
export function warnOfAnswer(
  { unusable, filteredByAcls, rightsInDoubt, instances }: AmissAnswer,
  warned: Set<string>,
  warn: (message: string, fields: LogFields) => void,
): void {
  for (const [instance, reason] of unusable) {
    if (!warned.has(instance)) warn("An instance cannot be called", { instance, reason });
  }
  const rights = [
    ...(filteredByAcls ? [hidden] : []),
    ...(instances === 0 && rightsInDoubt === "no-token" ? [anonymous] : []),
  ];
  for (const text of rights) if (!warned.has(text)) warn(text, {});
  warned.clear();
  for (const text of [...unusable.keys(), ...rights]) warned.add(text);
}

/**
 * Why a list without instances may not be the whole truth, in words that follow "lists none"; undefined where Consul has said that nothing
 * is hidden. A token without rights gets an empty list, not an error: https://developer.hashicorp.com/consul/docs/security/acl/acl-rules
 */
export function whyEmpty({ filteredByAcls, rightsInDoubt }: RightsOfAnswer): string | undefined {
  if (filteredByAcls) return "it hides instances from this token, which needs service:read and node:read";
  if (rightsInDoubt === "no-token") {
    return "it denies by default and was sent no token: one with service:read and node:read is needed";
  }
  return rightsInDoubt === "unsaid" ? "the token may lack service:read or node:read" : undefined;
}
