// Who may do what: tokens with rules, all else denied. Decides; the routes ask.
// https://developer.hashicorp.com/consul/docs/security/acl/acl-rules

import type { ConsulCompat } from "./model.ts";
import { ReplyError } from "./reply.ts";

/** What a rule allows. `write` includes `read`. */
export type AclPolicy = "deny" | "read" | "write";

/** A token and its rights. Rules hold for a name exactly, or for every name with a prefix; the longest match decides. */
export interface EmbeddedConsulToken {
  /** What requests send as X-Consul-Token. `anonymous` gives rights to requests that send none. */
  readonly secret: string;
  /** May do everything. Default false. */
  readonly management?: boolean;
  /** By the service's name. A server needs `write` for its own, a client `read`. */
  readonly service?: Readonly<Record<string, AclPolicy>>;
  /** By the beginning of the service's name; "" is every service. */
  readonly servicePrefix?: Readonly<Record<string, AclPolicy>>;
  /** By the node's name. To see instances takes `read` for their nodes. */
  readonly node?: Readonly<Record<string, AclPolicy>>;
  /** By the beginning of the node's name. */
  readonly nodePrefix?: Readonly<Record<string, AclPolicy>>;
  /** By the node's name: what the agent says about itself. */
  readonly agent?: Readonly<Record<string, AclPolicy>>;
  /** By the beginning of the node's name. */
  readonly agentPrefix?: Readonly<Record<string, AclPolicy>>;
  /** By the key. */
  readonly key?: Readonly<Record<string, AclPolicy>>;
  /** By the beginning of the key. */
  readonly keyPrefix?: Readonly<Record<string, AclPolicy>>;
}

/** What rules are about. */
export type AclResource = "service" | "node" | "agent" | "key";

/** Rights of one request. */
export interface Authorizer {
  /** False where the agent has no ACLs: then everything is allowed. */
  readonly isEnforced: boolean;
  /** Whether the request named a token. */
  readonly hasToken: boolean;
  can(access: "read" | "write", resource: AclResource, name: string): boolean;
  /** Whether everything under a prefix may be written. */
  canWritePrefix(prefix: string): boolean;
  /** Throws ReplyError 403. `isTerse`: older versions do not say what is missing. */
  demand(access: "read" | "write", resource: AclResource, name: string, isTerse?: boolean): void;
}

/** The tokens of an agent. */
export interface Acl {
  /** Rights of a secret ("" for none). Throws ReplyError 403 where it is unknown. */
  authorize(secret: string): Authorizer;
  /** Forgets a token. */
  revoke(secret: string): void;
}

const prefixRules = {
  service: "servicePrefix",
  node: "nodePrefix",
  agent: "agentPrefix",
  key: "keyPrefix",
} as const satisfies Record<AclResource, keyof EmbeddedConsulToken>;

/** Creates the ACLs of an agent; without tokens everything is allowed. */
export function createAcl(tokens: readonly EmbeddedConsulToken[] | undefined, compat: ConsulCompat): Acl {
  const known = new Map(tokens?.map((token, position) => [token.secret, { token, accessor: accessorId(position) }]));
  const isEnforced = tokens !== undefined;
  return {
    authorize(secret) {
      const found = known.get(secret === "" ? "anonymous" : secret);
      if (isEnforced && found === undefined && secret !== "") throw new ReplyError(403, "ACL not found");
      const policy = (resource: AclResource, name: string): AclPolicy => {
        if (!isEnforced || found?.token.management === true) return "write";
        return found === undefined ? "deny" : policyFor(found.token, resource, name);
      };
      const can: Authorizer["can"] = (access, resource, name) => {
        const granted = policy(resource, name);
        return granted === "write" || (granted === "read" && access === "read");
      };
      return {
        isEnforced,
        hasToken: secret !== "",
        can,
        canWritePrefix(prefix) {
          if (!can("write", "key", prefix)) return false;
          if (!isEnforced || found?.token.management === true) return true;
          const rules = [...Object.entries(found?.token.key ?? {}), ...Object.entries(found?.token.keyPrefix ?? {})];
          return rules.every(([name, granted]) => !name.startsWith(prefix) || granted === "write");
        },
        demand(access, resource, name, isTerse = false) {
          if (can(access, resource, name)) return;
          const accessor = secret === "" ? undefined : found?.accessor;
          const missing = { access, resource, name, accessor };
          throw new ReplyError(403, compat === "1.8" ? oldDenial(missing, isTerse) : newDenial(missing));
        },
      };
    },
    revoke(secret) {
      known.delete(secret);
    },
  };
}

/** What was not allowed to whom; `accessor` is undefined for a request without a token. */
interface MissingRight {
  readonly access: string;
  readonly resource: string;
  readonly name: string;
  readonly accessor: string | undefined;
}

function oldDenial({ access, resource, name }: MissingRight, isTerse: boolean): string {
  return isTerse ? "Permission denied" : `Permission denied: Missing ${resource}:${access} on ${name}`;
}

function newDenial({ access, resource, name, accessor }: MissingRight): string {
  const lacks = `lacks permission '${resource}:${access}' on "${name}"`;
  if (accessor !== undefined) return `Permission denied: token with AccessorID '${accessor}' ${lacks}`;
  const hint = "The anonymous token is used implicitly when a request does not specify a token.";
  return `Permission denied: anonymous token ${lacks}. ${hint}`;
}

function policyFor(token: EmbeddedConsulToken, resource: AclResource, name: string): AclPolicy {
  const exact = token[resource];
  if (exact !== undefined && Object.hasOwn(exact, name)) return exact[name] ?? "deny";
  let longest = -1;
  let policy: AclPolicy = "deny";
  for (const [prefix, granted] of Object.entries(token[prefixRules[resource]] ?? {})) {
    if (name.startsWith(prefix) && prefix.length > longest) {
      longest = prefix.length;
      policy = granted;
    }
  }
  return policy;
}

/** The public name of a token; its secret never appears in a message. */
function accessorId(position: number): string {
  return `00000000-0000-0000-0000-${(position + 16).toString(16).padStart(12, "0")}`;
}
