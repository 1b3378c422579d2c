// Raw HTTP to an agent, the embedded one or a real one, for the contract suite: what both must answer alike.

import { randomUUID } from "node:crypto";
import { request } from "node:http";
import { type EmbeddedConsulToken, startEmbeddedConsul } from "../../src/testing/index.ts";
import { realConsulSkip, startConsul } from "./consul-agent.ts";

/** What came back. */
export interface Answer {
  readonly status: number;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly text: string;
  /** X-Consul-Index as a number; NaN where there is none. */
  readonly index: number;
  /** From sending to the end of the body. */
  readonly tookMs: number;
  /** The body as JSON, which the caller knows the shape of. */
  json<T>(): T;
}

/** Parts of a request beside method and path. */
interface AskOptions {
  /** A string goes as it is, anything else as JSON. */
  readonly body?: unknown;
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** An agent under test. */
export interface ContractAgent extends AsyncDisposable {
  ask(method: string, path: string, options?: AskOptions): Promise<Answer>;
  get(path: string, options?: AskOptions): Promise<Answer>;
  put(path: string, body?: unknown, options?: AskOptions): Promise<Answer>;
  /** Ends gracefully. */
  stop(): Promise<void>;
  /** Ends as by SIGKILL. */
  kill(): Promise<void>;
  /** Starts anew after `stop` or `kill`, empty, on the same port. */
  start(): Promise<void>;
}

/** Rights for a test, in the embedded agent's form, without a secret. */
export type ContractToken = Omit<EmbeddedConsulToken, "secret">;

/** An agent with ACLs and the secrets of the tokens that were asked for, in their order. */
export interface AclAgent extends ContractAgent {
  readonly secrets: readonly string[];
  /** Takes a token away. */
  revoke(secret: string): Promise<void>;
}

/** A kind of agent. */
interface ContractKind {
  readonly name: string;
  /** For the `skip` option of a test. */
  readonly skip: string | false;
  start(): Promise<ContractAgent>;
  startWithAcls(tokens: readonly ContractToken[]): Promise<AclAgent>;
}

/** The embedded agent as 1.8, and a real agent of 1.8.7. */
export const contractKinds: readonly ContractKind[] = [
  {
    name: "embedded agent",
    skip: false,
    async start() {
      const agent = await startEmbeddedConsul();
      return {
        ...asking(agent.address),
        stop: () => agent.stop(),
        kill: () => agent.kill(),
        start: () => agent.restart(),
        [Symbol.asyncDispose]: () => agent.close(),
      };
    },
    async startWithAcls(rules) {
      const tokens = rules.map((rule) => ({ ...rule, secret: randomUUID() }));
      const agent = await startEmbeddedConsul({ tokens });
      return {
        ...asking(agent.address),
        secrets: tokens.map(({ secret }) => secret),
        revoke: async (secret) => agent.revokeToken(secret),
        stop: () => agent.stop(),
        kill: () => agent.kill(),
        start: () => agent.restart(),
        [Symbol.asyncDispose]: () => agent.close(),
      };
    },
  },
  {
    name: "real agent",
    skip: realConsulSkip,
    async start() {
      const agent = await startConsul();
      return {
        ...asking(agent.address),
        stop: () => agent.stop(),
        kill: () => agent.kill(),
        start: () => agent.start(),
        [Symbol.asyncDispose]: () => agent[Symbol.asyncDispose](),
      };
    },
    async startWithAcls(rules) {
      const agent = await startConsul({ acl: true });
      const { ask, get, put } = asking(agent.address);
      const admin = { token: agent.managementToken ?? "" };
      const accessors = new Map<string, string>();
      for (const rule of rules) {
        const name = `policy-${randomUUID()}`;
        const isManagement = rule.management === true;
        if (!isManagement)
          await expectOk(put("/v1/acl/policy", { Name: name, Rules: JSON.stringify(toRules(rule)) }, admin));
        const policies = [{ Name: isManagement ? "global-management" : name }];
        const made = await expectOk(put("/v1/acl/token", { Policies: policies }, admin));
        const { SecretID, AccessorID } = made.json<{ SecretID: string; AccessorID: string }>();
        accessors.set(SecretID, AccessorID);
      }
      return {
        ask,
        get,
        put,
        secrets: [...accessors.keys()],
        async revoke(secret) {
          await expectOk(ask("DELETE", `/v1/acl/token/${accessors.get(secret)}`, admin));
        },
        stop: () => agent.stop(),
        kill: () => agent.kill(),
        start: () => agent.start(),
        [Symbol.asyncDispose]: () => agent[Symbol.asyncDispose](),
      };
    },
  },
];

/** Raw requests to an address, each on a connection of its own. */
export function asking(address: string): Pick<ContractAgent, "ask" | "get" | "put"> {
  const ask: ContractAgent["ask"] = (method, path, options = {}) => send(address, method, path, options);
  return {
    ask,
    get: (path, options) => ask("GET", path, options),
    put: (path, body, options) => ask("PUT", path, { ...options, ...(body === undefined ? {} : { body }) }),
  };
}

function send(address: string, method: string, path: string, options: AskOptions): Promise<Answer> {
  const { hostname, port } = new URL(address);
  const { body, token } = options;
  const bytes = body === undefined ? undefined : Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
  const headers = {
    ...options.headers,
    ...(token === undefined ? {} : { "X-Consul-Token": token }),
    ...(bytes === undefined ? {} : { "Content-Length": String(bytes.length) }),
  };
  const startMs = performance.now();
  return new Promise((resolve, reject) => {
    const outgoing = request({ hostname, port, method, path, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const text = Buffer.concat(chunks).toString();
        const received = Object.fromEntries(
          Object.entries(response.headers).map(([name, value]) => [
            name,
            Array.isArray(value) ? value.join(", ") : value,
          ]),
        );
        resolve({
          status: response.statusCode ?? 0,
          headers: received,
          text,
          index: Number(received["x-consul-index"] ?? Number.NaN),
          tookMs: performance.now() - startMs,
          json: <T>() => JSON.parse(text) as T,
        });
      });
    });
    outgoing.on("error", reject);
    outgoing.end(bytes);
  });
}

async function expectOk(pending: Promise<Answer>): Promise<Answer> {
  const answer = await pending;
  if (answer.status !== 200)
    throw new Error(`the real agent refuses to set up the test: ${answer.status} ${answer.text}`);
  return answer;
}

/** Rules in Consul's own JSON form. */
function toRules(token: ContractToken): Record<string, Record<string, { policy: string }>> {
  const resources = {
    service: token.service,
    service_prefix: token.servicePrefix,
    node: token.node,
    node_prefix: token.nodePrefix,
    agent: token.agent,
    agent_prefix: token.agentPrefix,
    key: token.key,
    key_prefix: token.keyPrefix,
  };
  return Object.fromEntries(
    Object.entries(resources)
      .filter(([, names]) => names !== undefined)
      .map(([resource, names]) => [
        resource,
        Object.fromEntries(Object.entries(names ?? {}).map(([name, policy]) => [name, { policy }])),
      ]),
  );
}
