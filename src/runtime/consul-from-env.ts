// Reads the environment variables of Consul's own CLI into client options, and the files they name.
// https://developer.hashicorp.com/consul/commands#environment-variables
// The only place that knows their names; called by composition roots, never by the SDK itself.

import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { parseConsulAddress } from "../consul/consul-address.ts";
import type { ConsulClientOptions } from "../consul/consul-client.ts";
import { createNodeFetch } from "./node-fetch.ts";

/** A set of environment variables. `process.env` is one. Empty values count as absent, as in Consul's CLI. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Options that win over the environment: flags, say. */
export interface ConsulFromEnvOptions extends ConsulClientOptions {
  /** File that holds the ACL token. Wins over `token`. */
  readonly tokenFile?: string;
}

/**
 * Client options from the variables of Consul's CLI, with the same meaning and precedence: CONSUL_HTTP_ADDR (`host:port`,
 * `http://`, `https://`, `unix:///path`), CONSUL_HTTP_TOKEN, CONSUL_HTTP_TOKEN_FILE (wins over CONSUL_HTTP_TOKEN),
 * CONSUL_HTTP_AUTH (`user:password`), CONSUL_HTTP_SSL, CONSUL_HTTP_SSL_VERIFY, CONSUL_CACERT, CONSUL_CAPATH,
 * CONSUL_CLIENT_CERT, CONSUL_CLIENT_KEY, CONSUL_TLS_SERVER_NAME, CONSUL_NAMESPACE, CONSUL_PARTITION.
 *
 * Reads the files named, now and once. Where TLS settings or a unix socket are named, the result has a `fetch` over node:http
 * that honours them, unless the options bring their own. Each call makes a new one, so call once and share the result:
 * clients with different fetches share no watches. Throws TypeError, naming the variable, on a value or a file that cannot be used.
 */
export function consulFromEnv(env: Environment, options: ConsulFromEnvOptions = {}): ConsulClientOptions {
  const { tokenFile, ...rest } = options;
  const address = addressOf(env, options.address);
  const token = tokenOf(env, options);
  const basicAuth = options.basicAuth ?? basicAuthOf(env);
  const namespace = options.namespace || env.CONSUL_NAMESPACE;
  const partition = options.partition || env.CONSUL_PARTITION;
  const fetch = options.fetch ?? fetchOf(env, address);
  return {
    ...rest,
    ...(address ? { address } : {}),
    ...(token ? { token } : {}),
    ...(basicAuth ? { basicAuth } : {}),
    ...(namespace ? { namespace } : {}),
    ...(partition ? { partition } : {}),
    ...(fetch ? { fetch } : {}),
  };
}

function addressOf(env: Environment, given: string | undefined): string | undefined {
  const address = given || env.CONSUL_HTTP_ADDR;
  if (address && !given) checkAddress("CONSUL_HTTP_ADDR", address);
  // As in Consul's API client, this also turns an explicit http:// into https://.
  if (!readBoolean(env, "CONSUL_HTTP_SSL", false)) return address;
  if (address === undefined || address === "") return "https://127.0.0.1:8500";
  if (isUnix(address)) throw new TypeError("Cannot use CONSUL_HTTP_SSL as the address is a unix socket");
  return `https://${address.replace(/^https?:\/\//i, "")}`;
}

/** So that the error names the variable; the client would name its own option. */
function checkAddress(source: string, address: string): void {
  try {
    parseConsulAddress(address);
  } catch (cause) {
    throw new TypeError(`Cannot use ${source}: ${cause instanceof Error ? cause.message : cause}`, { cause });
  }
}

function tokenOf(env: Environment, options: ConsulFromEnvOptions): ConsulClientOptions["token"] {
  if (options.tokenFile) return readToken("the token file", options.tokenFile);
  if (options.token) return options.token;
  if (env.CONSUL_HTTP_TOKEN_FILE) return readToken("CONSUL_HTTP_TOKEN_FILE", env.CONSUL_HTTP_TOKEN_FILE);
  return checkHeaderText("CONSUL_HTTP_TOKEN", env.CONSUL_HTTP_TOKEN || undefined);
}

function readToken(source: string, path: string): string {
  const token = readText(source, path).trim();
  if (token === "") throw new TypeError(`Cannot use ${source} as the file is empty: received "${path}"`);
  return checkHeaderText(source, token) ?? "";
}

function checkHeaderText(source: string, token: string | undefined): string | undefined {
  if (token !== undefined && !/^[!-~]+$/.test(token)) {
    throw new TypeError(`Cannot use ${source} as a token must be visible ASCII without spaces or line ends`);
  }
  return token;
}

function basicAuthOf(env: Environment): ConsulClientOptions["basicAuth"] {
  const auth = env.CONSUL_HTTP_AUTH;
  if (!auth) return undefined;
  const colon = auth.indexOf(":");
  return colon < 0
    ? { username: auth, password: "" }
    : { username: auth.slice(0, colon), password: auth.slice(colon + 1) };
}

function fetchOf(env: Environment, address: string | undefined): ConsulClientOptions["fetch"] {
  const tls = tlsOf(env);
  if (address !== undefined && isUnix(address)) return createNodeFetch({ socketPath: address.slice("unix://".length) });
  // Over plain http the settings mean nothing. They were read all the same, as Consul's CLI does, so that mistakes show.
  return tls !== undefined && /^https:\/\//i.test(address ?? "") ? createNodeFetch(tls) : undefined;
}

function tlsOf(env: Environment): Parameters<typeof createNodeFetch>[0] {
  const { CONSUL_CLIENT_CERT: certPath, CONSUL_CLIENT_KEY: keyPath, CONSUL_TLS_SERVER_NAME: serverName } = env;
  const ca = certificateAuthorities(env);
  const verify = readBoolean(env, "CONSUL_HTTP_SSL_VERIFY", true);
  if (!certPath !== !keyPath) {
    const [present, absent] = certPath
      ? ["CONSUL_CLIENT_CERT", "CONSUL_CLIENT_KEY"]
      : ["CONSUL_CLIENT_KEY", "CONSUL_CLIENT_CERT"];
    throw new TypeError(`Cannot use ${present} as it needs ${absent} beside it`);
  }
  if (ca === undefined && !certPath && !serverName && verify) return undefined;
  return {
    verify,
    ...(ca === undefined ? {} : { ca }),
    ...(certPath && keyPath
      ? { cert: readPem("CONSUL_CLIENT_CERT", certPath), key: readPem("CONSUL_CLIENT_KEY", keyPath) }
      : {}),
    ...(serverName ? { serverName } : {}),
  };
}

/** CONSUL_CACERT, else every file under CONSUL_CAPATH. */
function certificateAuthorities(env: Environment): string[] | undefined {
  if (env.CONSUL_CACERT) return [readPem("CONSUL_CACERT", env.CONSUL_CACERT)];
  const folder = env.CONSUL_CAPATH;
  if (!folder) return undefined;
  const files = attempt("CONSUL_CAPATH", folder, () =>
    readdirSync(folder, { recursive: true, encoding: "utf8" })
      .sort()
      .map((name) => join(folder, name))
      .filter((path) => statSync(path).isFile()),
  );
  if (files.length === 0)
    throw new TypeError(`Cannot use CONSUL_CAPATH as the folder has no files: received "${folder}"`);
  return files.map((path) => readPem("CONSUL_CAPATH", path));
}

function readPem(source: string, path: string): string {
  const text = readText(source, path);
  if (!text.includes("-----BEGIN ")) {
    throw new TypeError(`Cannot use ${source} as the file is not PEM: received "${path}"`);
  }
  return text;
}

function readText(source: string, path: string): string {
  return attempt(source, path, () => readFileSync(path, "utf8"));
}

function attempt<T>(source: string, path: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new TypeError(`Cannot use ${source} as "${path}" cannot be read: ${reason}`, { cause });
  }
}

/** The words of Go's strconv.ParseBool, which Consul reads its switches with. */
function readBoolean(env: Environment, name: string, absent: boolean): boolean {
  const text = env[name];
  if (!text) return absent;
  if (/^(1|t|T|TRUE|true|True)$/.test(text)) return true;
  if (/^(0|f|F|FALSE|false|False)$/.test(text)) return false;
  throw new TypeError(`Cannot use ${name} as it must be true or false: received "${text}"`);
}

function isUnix(address: string): boolean {
  return /^unix:\/\//i.test(address);
}
