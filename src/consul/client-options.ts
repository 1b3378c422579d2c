// What a Consul client can be told, checked and completed in one place before anything is sent.

import { type Clock, systemClock } from "../core/clock.ts";
import { describeAddress, describeValue } from "../core/describe-value.ts";
import { type Logger, silentLogger } from "../core/logger.ts";
import { type ConsulAddress, parseConsulAddress } from "./consul-address.ts";

/** How to reach and speak to a Consul agent. Empty texts count as absent, but for `address`: a variable that is not set names no agent. */
export interface ConsulClientOptions {
  /**
   * Base URL of the agent, with or without a path prefix; a missing scheme means http, a missing port the scheme's own. Credentials
   * in it become `basicAuth`. `unix:///path` needs a `fetch` that reaches the socket, as `consulFromEnv` gives. Default
   * `http://127.0.0.1:8500`.
   *
   * A list names several agents of one cluster, each once. Reads stay with one of them while it answers; where it gives no answer, or one
   * with status 429 or 5xx, the next one is asked at once, and kept. A write is sent once, and what belongs to one agent alone (all of
   * `client.agent`) goes to the first; a registration by `registerService` moves by rules of its own.
   */
  readonly address?: string | readonly string[];
  /**
   * ACL token, sent as X-Consul-Token. A function is asked before every request, within the request's time limit; what it throws or
   * rejects with rejects the request. Where Consul answers 403 it is asked again, and the request repeated once if it now gives another.
   */
  readonly token?: string | (() => string | undefined | Promise<string | undefined>);
  /** Datacenter of every request that names no other. */
  readonly datacenter?: string;
  /** Consul Enterprise namespace. */
  readonly namespace?: string;
  /** Consul Enterprise admin partition. */
  readonly partition?: string;
  /** HTTP basic authentication, for agents behind a proxy. Wins over credentials in the address. */
  readonly basicAuth?: { readonly username: string; readonly password: string };
  /** Headers added to every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Milliseconds without a whole answer before a request fails, blocking queries aside; > 0. Default 10000. */
  readonly timeoutMs?: number;
  /** What sends requests: TLS settings, unix sockets and proxies go here. Default: the runtime's fetch. Must honour `signal`, need not follow redirects. */
  readonly fetch?: ConsulFetch;
  /** Told once when a token or password would cross a network in clear. Silent by default. */
  readonly logger?: Logger;
  /** Clock of the timeouts. */
  readonly clock?: Clock;
}

/** The part of `fetch` that the client uses; `globalThis.fetch` satisfies it. */
export type ConsulFetch = (url: string, init: RequestInit) => Promise<Response>;

/** Options with nothing left open. */
export interface ResolvedConsulOptions {
  /** One for each address, in their order; they differ in nothing else. */
  readonly agents: readonly [AgentOptions, ...AgentOptions[]];
  /** The addresses as shown in messages. */
  readonly address: string;
  /** Equal where addresses, rights, fetch and clock are; a token function is what it is, whatever it returns. Holds secrets. */
  readonly identity: string;
  /**
   * The same, with what a token function returns now, or, where it gives promises, with the last one that was kept. Throws what that
   * throws. Holds secrets.
   */
  presentIdentity(): string;
  /** Equal where the same questions go to the same agents, whoever asks: addresses, datacenter, namespace, partition. Holds no secret. */
  readonly place: string;
}

/** What requests to one agent are made of. */
export interface AgentOptions extends ConsulAddress {
  /** The token for the next request, checked; undefined for none. */
  readonly token: () => string | undefined | Promise<string | undefined>;
  /** Whether the token is known without asking. */
  readonly hasFixedToken: boolean;
  readonly datacenter: string | undefined;
  readonly namespace: string | undefined;
  readonly partition: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly fetch: ConsulFetch;
  readonly logger: Logger;
  readonly clock: Clock;
}

/** Late-bound, so that a fetch that is instrumented after the client was made is used too. */
const runtimeFetch: ConsulFetch = (url, init) => globalThis.fetch(url, init);

/** Checks and completes options. Throws TypeError or RangeError; no message repeats a secret. */
export function resolveConsulOptions(options: ConsulClientOptions): ResolvedConsulOptions {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(
      `Cannot create a Consul client as it must be given options or an address: received ${describeValue(options)}`,
    );
  }
  const {
    timeoutMs = 10_000,
    fetch = runtimeFetch,
    logger = silentLogger,
    clock = systemClock,
    headers = {},
  } = options;
  const addresses = addressesOf(options.address);
  if (!(timeoutMs > 0)) {
    throw new RangeError(`Cannot create a Consul client as "timeoutMs" must be > 0: received ${timeoutMs}`);
  }
  if (typeof fetch !== "function") {
    throw new TypeError(`Cannot create a Consul client as "fetch" must be a function: received ${typeof fetch}`);
  }
  for (const { address } of addresses) {
    if (address.startsWith("unix:") && fetch === runtimeFetch) {
      throw new TypeError(
        `Cannot create a Consul client as a unix socket needs a "fetch" that reaches it: received ${JSON.stringify(describeAddress(address))}`,
      );
    }
  }
  checkHeaders(headers);
  const givenAuth = checkBasicAuth(options.basicAuth);
  const datacenter = checkText("datacenter", options.datacenter);
  const namespace = checkText("namespace", options.namespace);
  const partition = checkText("partition", options.partition);
  const { token, present } = tokenSource(options.token);
  const common = {
    token,
    hasFixedToken: typeof options.token === "string" && options.token !== "",
    datacenter,
    namespace,
    partition,
    headers,
    timeoutMs,
    fetch,
    logger,
    clock,
  };
  const agentOf = (address: ConsulAddress): AgentOptions => ({
    ...address,
    basicAuth: givenAuth ?? address.basicAuth,
    ...common,
  });
  const [first, ...others] = addresses;
  const agents = [agentOf(first), ...others.map(agentOf)] as const;
  const identityBy = (rights: string | number) =>
    JSON.stringify([
      agents.map(({ address, basicAuth }) => [address, basicAuth?.username, basicAuth?.password]),
      rights,
      [datacenter, namespace, partition],
      Object.entries(headers).sort(([a], [b]) => (a < b ? -1 : 1)),
      numberOf(fetch),
      numberOf(clock),
    ]);
  return {
    agents,
    address: agents.map(({ address }) => address).join(", "),
    identity: identityBy(typeof options.token === "function" ? numberOf(options.token) : (present() ?? "")),
    presentIdentity: () => identityBy(present() ?? ""),
    place: JSON.stringify([agents.map(({ address }) => address), datacenter, namespace, partition]),
  };
}

/** `present` is the token as far as it can be told without waiting. */
function tokenSource(token: ConsulClientOptions["token"]): {
  readonly token: AgentOptions["token"];
  present(): string | undefined;
} {
  if (typeof token !== "function") {
    const checked = checkToken(token);
    return { token: () => checked, present: () => checked };
  }
  let last: string | undefined;
  const keep = (text: unknown) => {
    last = checkToken(text);
    return last;
  };
  const ask = () => {
    const given: unknown = token();
    return given instanceof Promise ? given.then(keep) : keep(given);
  };
  return {
    token: ask,
    present() {
      const given = ask();
      if (!(given instanceof Promise)) return given;
      // The request that asks next tells of its failure.
      given.catch(() => {});
      return last;
    },
  };
}

function checkToken(token: unknown): string | undefined {
  if (token === undefined || token === "") return undefined;
  // What fetch says of a header value it refuses repeats the value.
  if (typeof token !== "string" || !/^[!-~]+$/.test(token)) {
    throw new TypeError("Cannot send the Consul token as it must be visible ASCII without spaces or line ends");
  }
  return token;
}

function addressesOf(given: ConsulClientOptions["address"]): readonly [ConsulAddress, ...ConsulAddress[]] {
  if (given === "") {
    throw new TypeError('Cannot create a Consul client as "address" must name an agent: received ""');
  }
  if (!Array.isArray(given)) {
    return [parseConsulAddress(checkText("address", given) ?? "http://127.0.0.1:8500")];
  }
  const addresses = given.map((one: unknown) => {
    const text = checkText("address", one);
    if (text === undefined) {
      throw new TypeError('Cannot create a Consul client as "address" must name an agent: received an empty entry');
    }
    return parseConsulAddress(text);
  });
  const [first, ...others] = addresses;
  if (first === undefined) {
    throw new TypeError('Cannot create a Consul client as "address" must name an agent: received an empty list');
  }
  const twice = addresses.find(({ address }, at) => addresses.findIndex((other) => other.address === address) < at);
  if (twice !== undefined) {
    throw new TypeError(
      `Cannot create a Consul client as "address" must name each agent once: received ${JSON.stringify(describeAddress(twice.address))} twice`,
    );
  }
  return [first, ...others];
}

function checkText(name: string, text: unknown): string | undefined {
  if (text === undefined || text === "") return undefined;
  if (typeof text !== "string" || !text.isWellFormed()) {
    throw new TypeError(`Cannot create a Consul client as "${name}" must be text: received ${typeof text}`);
  }
  return text;
}

function checkBasicAuth(basicAuth: ConsulClientOptions["basicAuth"]): ConsulClientOptions["basicAuth"] {
  if (basicAuth === undefined) return undefined;
  const { username, password } = basicAuth;
  if (typeof username !== "string" || typeof password !== "string") {
    throw new TypeError('Cannot create a Consul client as "basicAuth" must have a username and a password');
  }
  // RFC 7617, section 2: the first colon ends the user name.
  if (username.includes(":")) {
    throw new TypeError('Cannot create a Consul client as the username of "basicAuth" must have no colon');
  }
  return { username, password };
}

function checkHeaders(headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) {
    try {
      new Headers([[name, value]]);
    } catch {
      throw new TypeError(`Cannot create a Consul client as "headers" must hold valid names and values: see "${name}"`);
    }
  }
}

const resolvedOptions = new WeakMap<object, ResolvedConsulOptions>();

/** Keeps what a client was made of, off the client: it holds secrets, and is nobody's but this package's. */
export function keepOptions(client: object, resolved: ResolvedConsulOptions): void {
  resolvedOptions.set(client, resolved);
}

/** What a client was made of; undefined for one of another make. */
export function optionsOf(client: object): ResolvedConsulOptions | undefined {
  return resolvedOptions.get(client);
}

const numbers = new WeakMap<object, number>();
let lastNumber = 0;

/** A number for a function or an object, so that identities can be compared as text. */
function numberOf(value: object): number {
  let number = numbers.get(value);
  if (number === undefined) {
    number = ++lastNumber;
    numbers.set(value, number);
  }
  return number;
}
