// A target, as gRPC users write one: consul://host:8500/HelloService?tag=v2&dc=dc1&scheme=https. Reads the text into the same
// options as the object form has; asks nobody, and takes no secret.

import { pathSegment } from "../consul/api-path.ts";
import type { ConsulClientOptions } from "../consul/consul-client.ts";
import { parseDuration } from "../core/duration.ts";
import type { ConsulServiceQuery } from "./service-query.ts";

/** What a target says, as options: `createConsulResolver` and `watchService` take it as it is. What it leaves open is absent. */
export interface ParsedTarget extends Omit<ConsulServiceQuery, "consul" | "logger" | "clock" | "random"> {
  /** Empty where the target names neither agent nor namespace nor partition. */
  readonly consul: Pick<ConsulClientOptions, "address" | "namespace" | "partition">;
}

type Answers = Partial<Omit<ParsedTarget, "consul" | "service">>;
type Reader = (values: readonly [string, ...string[]], key: string) => Answers;

const example = "consul://127.0.0.1:8500/HelloService?tag=v2";

/** Every key, and what it means. */
const readers: Readonly<Record<string, Reader>> = {
  consistency: ([text], key) => ({ consistency: oneOf(key, text, ["default", "stale", "consistent"]) }),
  dc: ([datacenter]) => ({ datacenter }),
  filter: ([filter]) => ({ filter }),
  near: ([near]) => ({ near }),
  passing: ([text], key) => ({ passingOnly: oneOf(key, text, ["true", "false"]) === "true" }),
  scheme: ([text], key) => ({ scheme: oneOf(key, text, ["http", "https"]) }),
  tag: (tags) => ({ tags }),
  wait: ([text], key) => ({ waitMs: waitOf(key, text) }),
};

const agentKeys = { ns: "namespace", partition: "partition" } as const;
const repeatableKeys: readonly string[] = ["tag"];
const knownKeys: readonly string[] = [...Object.keys(readers), ...Object.keys(agentKeys)].sort();

/**
 * Keys that other resolvers and Consul's HTTP API know, and what stands for them here.
 * https://github.com/mbobakov/grpc-consul-resolver
 */
const otherWords: ReadonlyMap<string, string> = new Map([
  ["allow-stale", "write consistency=stale"],
  ["cached", "lictor's watches need no cache of the agent's"],
  ["consistent", "write consistency=consistent"],
  ["datacenter", "write dc"],
  ["healthy", "write passing, which is true unless told otherwise"],
  ["insecure", "TLS to the agent is told by consul+https://, its settings by the option consul: { fetch }"],
  ["limit", "there is none: all instances are called in turn"],
  ["max-backoff", "there is none: Consul is asked again within seconds"],
  ["namespace", "write ns"],
  ["passingonly", "write passing"],
  ["require-consistent", "write consistency=consistent"],
  ["service", "it stands in the path"],
  ["stale", "write consistency=stale"],
  ["tags", "write tag, once for each"],
  ["timeout", "that is the option consul: { timeoutMs }"],
  ["tls", "write scheme=https"],
  ["waitms", "write wait, like wait=30s"],
]);

/**
 * Reads a target: `consul://[host[:port][,host[:port]...]]/service[?key=value[&...]]`, a URI by RFC 3986.
 *
 * - `host[:port]` is the agent, asked over http; an IPv6 address stands in brackets, the port is 8500 unless given. Without a
 *   host it is the agent that the options name, else the default one. `consul+https://host[:port]` asks over https, the port
 *   then is 8501, as Consul's documentation has it by convention:
 *   https://developer.hashicorp.com/consul/docs/reference/agent/configuration-file/general#https_port
 *   Several agents of one cluster are joined by commas, each once; they are asked as those of the option `address` are.
 *   A path prefix or a unix socket of the agent cannot be said: `consul:///service` beside the option `consul` can.
 * - `service` is percent-encoded; a slash in it is `%2F`.
 * - The keys are `tag` (repeatable), `dc`, `scheme` (of the instances: http or https), `passing` (true or false), `filter`,
 *   `near`, `consistency` (default, stale or consistent), `wait` (1s to 60s), `ns` and `partition`, each as the option that it
 *   stands for. Values are form-encoded: a space is `+` or `%20`, a plus `%2B`.
 *
 * A token or a password never stands in a target: targets end up in logs and process lists. `defaultService` is the name where
 * the target has none. Throws TypeError or RangeError on anything else; no message repeats what may be a secret.
 */
export function parseTarget(target: string, options: { readonly defaultService?: string } = {}): ParsedTarget {
  const { service = options.defaultService, ...said } = readTarget(target);
  if (service !== undefined) return { ...said, service };
  throw refusalOf(new Broken(`it must name a service after the agent, like ${example}`), target);
}

/** What a target says, its service absent where it names none. Throws as `parseTarget` does. */
export function readTarget(target: string): Omit<ParsedTarget, "service"> & Partial<Pick<ParsedTarget, "service">> {
  if (typeof target !== "string")
    throw new TypeError(`Cannot use a target as it must be text: received ${typeof target}`);
  try {
    return readParts(target);
  } catch (error) {
    if (error instanceof Broken) throw refusalOf(error, target);
    // The others quote the service.
    throw mayHoldSecret(target) ? refusalOf(new Broken("its service must be a name that Consul takes"), target) : error;
  }
}

function readParts(target: string): ReturnType<typeof readTarget> {
  // RFC 3986, appendix B, for a URI with an authority.
  const match = /^([a-z][a-z0-9+.-]*):\/\/([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/i.exec(target);
  const [, scheme = "", authority = "", path = "", query = ""] = match ?? [];
  if (`${authority}/${path}`.includes("@")) {
    throw new Broken(
      "it must hold no credentials: they go into the option consul, as { token } or { basicAuth } (an @ in a service's name is %40)",
    );
  }
  const values = readQuery(query);
  if (match === null || !/^consul(\+https)?$/i.test(scheme) || /\p{Cc}/u.test(target)) {
    throw new Broken(`it must be written consul://host:port/service?key=value, like ${example}`);
  }
  const address = readAuthority(authority, scheme.toLowerCase() === "consul+https");
  const consul = { ...address, ...readAgentKeys(values) };
  return { ...readAnswers(values), ...(path !== "" && { service: readService(path) }), consul };
}

/** The agents' base URLs, where the target names any. */
function readAuthority(authority: string, isHttps: boolean): Pick<ConsulClientOptions, "address"> {
  if (authority === "") {
    if (isHttps) throw new Broken("consul+https:// must be followed by the agent's host");
    return {};
  }
  const [address = "", ...others] = authority.split(",").map((place) => readPlace(place, isHttps));
  const all = [address, ...others];
  if (new Set(all).size < all.length) throw new Broken("it must name each agent once");
  return { address: others.length === 0 ? address : all };
}

function readPlace(place: string, isHttps: boolean): string {
  const [, host, port = isHttps ? "8501" : "8500"] = /^(\[[0-9a-f:.]+\]|[^[\]:]+)(?::([0-9]+))?$/i.exec(place) ?? [];
  const address = `${isHttps ? "https" : "http"}://${host}:${port}`;
  // What URL takes for a host is what fetch takes; only the port it would let be 0.
  if (host === undefined || /[\s\\%]/.test(host) || Number(port) === 0 || !URL.canParse(address)) {
    throw new Broken("its agent must be host, host:port or [ipv6]:port, the port from 1 to 65535");
  }
  return address;
}

function readService(path: string): string {
  if (path.includes("/")) {
    throw new Broken(
      'it must have one path segment, the service: a "/" in its name is %2F, and a path prefix of the agent goes into the option consul, as { address }, beside consul:///service',
    );
  }
  const service = decoded(path);
  if (service === undefined) throw new Broken("its service must be percent-encoded UTF-8");
  // Throws now what would otherwise fail with every read.
  pathSegment("a service", service);
  return service;
}

/** Keys and their values, decoded as forms are, which is how Go's resolvers read them. Checks keys, not values. */
function readQuery(query: string): ReadonlyMap<string, readonly [string, ...string[]]> {
  const values = new Map<string, [string, ...string[]]>();
  for (const pair of query === "" ? [] : query.split("&")) {
    const [, rawKey = "", rawValue = ""] = /^([^=]*)=?(.*)$/s.exec(pair.replaceAll("+", " ")) ?? [];
    const key = decoded(rawKey) ?? rawKey;
    checkKey(key);
    const value = decoded(rawValue);
    if (value === undefined) throw new Broken(`"${key}" must be percent-encoded UTF-8`, "other bytes");
    if (value === "") throw new Broken(`"${key}" must have a value`, "none");
    const before = values.get(key);
    if (before === undefined) values.set(key, [value]);
    else if (repeatableKeys.includes(key)) before.push(value);
    else throw new Broken(`"${key}" must come once`, "it again");
  }
  return values;
}

function checkKey(key: string): void {
  if (knownKeys.includes(key)) return;
  const known = ` (known keys: ${knownKeys.join(", ")})`;
  // What is no word may be the end of a password that had a "?" in it.
  const shown = /^[\w.-]{0,40}$/.test(key) ? JSON.stringify(key) : "one that is no word";
  if (/token|secret|passw|auth|credential/i.test(key)) {
    throw new Broken("it must hold no secret", shown, `; a token goes into the option consul, as { token }${known}`);
  }
  const instead = otherWords.get(key.toLowerCase());
  throw new Broken("its keys must be known", shown, `${instead === undefined ? "" : `; ${instead}`}${known}`);
}

function readAnswers(values: ReadonlyMap<string, readonly [string, ...string[]]>): Answers {
  let answers: Answers = {};
  for (const [key, texts] of values) answers = { ...answers, ...readers[key]?.(texts, key) };
  return answers;
}

function readAgentKeys(
  values: ReadonlyMap<string, readonly [string, ...string[]]>,
): Pick<ConsulClientOptions, "namespace" | "partition"> {
  return Object.fromEntries(
    Object.entries(agentKeys).flatMap(([key, option]) => values.get(key)?.map((text) => [option, text]) ?? []),
  );
}

function oneOf<const C extends string>(key: string, text: string, words: readonly C[]): C {
  const word = words.find((one) => one === text);
  if (word === undefined) {
    throw new Broken(`"${key}" must be ${words.join(" or ")}`, JSON.stringify(text));
  }
  return word;
}

function waitOf(key: string, text: string): number {
  let waitMs = Number.NaN;
  try {
    waitMs = parseDuration(text);
  } catch {
    // NaN is outside the limits too.
  }
  if (waitMs >= 1000 && waitMs <= 60_000) return waitMs;
  throw new Broken(`"${key}" must be a duration from 1s to 60s, like 30s`, JSON.stringify(text), "", RangeError);
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** A rule that a target breaks. Never leaves this file: `refusalOf` decides what may be shown of what was received. */
class Broken extends Error {
  /** Absent: the target itself. */
  readonly received: string | undefined;
  readonly aside: string;
  readonly kind: typeof TypeError | typeof RangeError;

  constructor(rule: string, received?: string, aside = "", kind: Broken["kind"] = TypeError) {
    super(rule);
    this.received = received;
    this.aside = aside;
    this.kind = kind;
  }
}

function refusalOf({ message: rule, received, aside, kind }: Broken, target: string): Error {
  const shown = mayHoldSecret(target)
    ? `"${schemeOf(target)}…"`
    : (received ?? JSON.stringify(target.replace(/[?#].*$/s, "?…")));
  return new kind(`Cannot use a target as ${rule}: received ${shown}${aside}`);
}

/**
 * Whether any part may be of a password: there is an @ somewhere, or a colon before something that is no port, escaped or not. No
 * part can be trusted then: where the @ was meant, the password ends, and it may hold any of the signs that end the others.
 */
function mayHoldSecret(target: string): boolean {
  const [place = ""] = target.slice(schemeOf(target).length).split(/[?#]/);
  const [authority = ""] = place.split("/");
  const withoutPorts = authority.split(",").map((one) => {
    const withoutAddress = one.replace(/^\[[0-9a-f:.]*\]/i, "");
    return withoutAddress.replace(/^([^:]*):([0-9]{0,5})$/, (whole, host, port) =>
      Number(port) > 65_535 ? whole : host,
    );
  });
  const rest = [...withoutPorts, place.slice(authority.length)];
  return /@|%(25)*40/i.test(target) || rest.some((part) => /:|%(25)*3a/i.test(part));
}

function schemeOf(target: string): string {
  return /^[a-z][a-z0-9+.-]*:\/\//i.exec(target)?.[0] ?? "";
}
