// Reads the environment variables of Consul's own CLI into client options, and the files they name.
// https://developer.hashicorp.com/consul/commands#environment-variables
// The only place that knows their names; called by composition roots, never by the SDK itself.

import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { parseConsulAddress } from "../consul/consul-address.ts";
import type { ConsulClientOptions } from "../consul/consul-client.ts";
import { type Logger, silentLogger } from "../core/logger.ts";
import { checkAuthorities, checkKeyPair } from "./check-certificates.ts";
import { createNodeFetch, type NodeFetchOptions } from "./node-fetch.ts";
import { type WatchedFiles, watchFiles } from "./watch-files.ts";

/** A set of environment variables. `process.env` is one. Empty values count as absent, as in Consul's CLI. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Options that win over the environment: flags, say. A text as `address` may name several agents, as CONSUL_HTTP_ADDR may. */
export interface ConsulFromEnvOptions extends ConsulClientOptions {
  /** File that holds the ACL token, read anew as CONSUL_HTTP_TOKEN_FILE is. Wins over `token`. */
  readonly tokenFile?: string;
}

/**
 * Client options from the variables of Consul's CLI, with the same meaning and precedence: CONSUL_HTTP_ADDR (`host:port`,
 * `http://`, `https://`, `unix:///path`; beyond the CLI, several agents joined by commas), CONSUL_HTTP_TOKEN, CONSUL_HTTP_TOKEN_FILE
 * (wins over CONSUL_HTTP_TOKEN), CONSUL_HTTP_AUTH (`user:password`), CONSUL_HTTP_SSL, CONSUL_HTTP_SSL_VERIFY, CONSUL_CACERT,
 * CONSUL_CAPATH, CONSUL_CLIENT_CERT, CONSUL_CLIENT_KEY, CONSUL_TLS_SERVER_NAME, CONSUL_NAMESPACE, CONSUL_PARTITION.
 *
 * The files named are read now, and again while the client is used: a token with every request, certificates and keys when what they
 * hold has changed, at most once a second. A file that is gone, empty or no certificate leaves what was read last in use, and a line at
 * `logger`; so does a key that is not its certificate's. Requests under way keep the connection they have. Of CONSUL_CAPATH those files are
 * followed that are there now.
 *
 * A token from a file becomes a function. Where TLS settings or a unix socket are named, the result has a `fetch` over node:http
 * that honours them, unless the options bring their own. Each call makes new ones, so call once and share the result:
 * clients with different functions share no watches. Throws TypeError, naming the variable, on a value or a file that cannot be used.
 */
export function consulFromEnv(env: Environment, options: ConsulFromEnvOptions = {}): ConsulClientOptions {
  const { tokenFile, ...rest } = options;
  const logger = options.logger ?? silentLogger;
  const address = addressOf(env, options.address);
  const token = tokenOf(env, options, logger);
  const basicAuth = options.basicAuth ?? basicAuthOf(env);
  const namespace = options.namespace || env.CONSUL_NAMESPACE;
  const partition = options.partition || env.CONSUL_PARTITION;
  const fetch = options.fetch ?? fetchOf(env, address, logger);
  return {
    ...rest,
    ...(address === undefined ? {} : { address }),
    ...(token ? { token } : {}),
    ...(basicAuth ? { basicAuth } : {}),
    ...(namespace ? { namespace } : {}),
    ...(partition ? { partition } : {}),
    ...(fetch ? { fetch } : {}),
  };
}

type Address = NonNullable<ConsulClientOptions["address"]>;

function addressOf(env: Environment, given: Address | undefined): Address | undefined {
  const address =
    given === undefined || given === ""
      ? listOf("CONSUL_HTTP_ADDR", env.CONSUL_HTTP_ADDR)
      : typeof given === "string" && given.includes(",")
        ? listOf("the address", given)
        : given;
  // As in Consul's API client, this also turns an explicit http:// into https://.
  if (!readBoolean(env, "CONSUL_HTTP_SSL", false)) return address;
  if (address === undefined) return "https://127.0.0.1:8500";
  return typeof address === "string" ? withHttps(address) : address.map(withHttps);
}

/** One address, or several joined by commas. The path of a unix socket may hold commas itself: it stands alone. */
function listOf(source: string, text: string | undefined): Address | undefined {
  if (!text) return undefined;
  const all = isUnix(text) ? [text] : text.split(",").map((one) => one.trim());
  for (const one of all) {
    if (one === "") throw new TypeError(`Cannot use ${source} as it must name an agent between its commas`);
    if (all.length > 1 && isUnix(one)) throw new TypeError(`Cannot use ${source} as a unix socket must stand alone`);
    checkAddress(source, one);
  }
  const [first = text, ...others] = all;
  return others.length === 0 ? first : all;
}

function withHttps(address: string): string {
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

function tokenOf(env: Environment, options: ConsulFromEnvOptions, logger: Logger): ConsulClientOptions["token"] {
  if (options.tokenFile) return tokenFrom("the token file", options.tokenFile, logger);
  if (options.token) return options.token;
  if (env.CONSUL_HTTP_TOKEN_FILE) return tokenFrom("CONSUL_HTTP_TOKEN_FILE", env.CONSUL_HTTP_TOKEN_FILE, logger);
  return checkHeaderText("CONSUL_HTTP_TOKEN", env.CONSUL_HTTP_TOKEN || undefined);
}

function tokenFrom(source: string, path: string, logger: Logger): () => string {
  const parse = ({ token }: Readonly<Record<"token", string>>) => tokenIn(source, path, token);
  parse({ token: readText(source, path) });
  const file = watchFiles({ token: path }, parse, {
    // A read of some bytes beside a request; a token that was replaced must not be sent.
    everyMs: 0,
    onTrouble: (error) => logger.warn("Cannot read the Consul token anew: the last one stays in use", { path, error }),
    onChange: () => logger.info("The Consul token was replaced", { path }),
  });
  return () => file.current;
}

function tokenIn(source: string, path: string, text: string): string {
  const token = text.trim();
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

function fetchOf(env: Environment, address: Address | undefined, logger: Logger): ConsulClientOptions["fetch"] {
  const tls = tlsOf(env, logger);
  const all = address === undefined ? [] : [address].flat();
  const [first = ""] = all;
  if (isUnix(first)) return createNodeFetch({ socketPath: first.slice("unix://".length) });
  // Over plain http the settings mean nothing. They were read all the same, as Consul's CLI does, so that mistakes show.
  return tls !== undefined && all.some((one) => /^https:\/\//i.test(one)) ? createNodeFetch(tls) : undefined;
}

/** The TLS settings as they are now; undefined where the variables name none. */
function tlsOf(env: Environment, logger: Logger): NodeFetchOptions | (() => NodeFetchOptions) | undefined {
  const { CONSUL_CLIENT_CERT: certPath, CONSUL_CLIENT_KEY: keyPath, CONSUL_TLS_SERVER_NAME: serverName } = env;
  const authorities = authorityFiles(env);
  const verify = readBoolean(env, "CONSUL_HTTP_SSL_VERIFY", true);
  if (!certPath !== !keyPath) {
    const [present, absent] = certPath
      ? ["CONSUL_CLIENT_CERT", "CONSUL_CLIENT_KEY"]
      : ["CONSUL_CLIENT_KEY", "CONSUL_CLIENT_CERT"];
    throw new TypeError(`Cannot use ${present} as it needs ${absent} beside it`);
  }
  const fixed = { verify, ...(serverName ? { serverName } : {}) };
  const paths: Readonly<Record<string, string>> = {
    ...authorities?.paths,
    ...(certPath && keyPath ? { [certName]: certPath, [keyName]: keyPath } : {}),
  };
  if (Object.keys(paths).length === 0) return !serverName && verify ? undefined : fixed;
  const parse = (texts: Readonly<Record<string, string>>): NodeFetchOptions => {
    for (const [name, text] of Object.entries(texts)) checkPem(sourceOf(name, authorities), paths[name] ?? "", text);
    const { [certName]: cert, [keyName]: key, ...ca } = texts;
    return {
      ...fixed,
      ...(authorities === undefined ? {} : { ca: Object.values(ca) }),
      ...(cert === undefined || key === undefined ? {} : { cert, key }),
    };
  };
  // First each by itself, so that the error names the variable.
  for (const [name, path] of Object.entries(paths)) readPem(sourceOf(name, authorities), path);
  return followTls(paths, parse, logger);
}

const certName = "CONSUL_CLIENT_CERT";
const keyName = "CONSUL_CLIENT_KEY";

function followTls(
  paths: Readonly<Record<string, string>>,
  parse: (texts: Readonly<Record<string, string>>) => NodeFetchOptions,
  logger: Logger,
): () => NodeFetchOptions {
  let isFirst = true;
  const files: WatchedFiles<NodeFetchOptions> = watchFiles(
    paths,
    (texts) => {
      const settings = parse(texts);
      // At the start the handshake tells what is wrong; later, what works must not be given up for what cannot.
      if (!isFirst) checkTls(settings);
      isFirst = false;
      return settings;
    },
    {
      onTrouble: (error) =>
        logger.warn("Cannot use Consul's certificates as they are now: the last ones stay in use", { error }),
      onChange: () => logger.info("Consul's certificates were replaced", { paths: Object.values(paths) }),
    },
  );
  return () => files.current;
}

function checkTls({ ca, cert, key }: NodeFetchOptions): void {
  const action = "replace Consul's certificates";
  if (ca !== undefined) checkAuthorities(action, ca);
  if (cert !== undefined && key !== undefined) checkKeyPair(action, cert, key);
}

/** Where certificate authorities are read from. */
interface AuthorityFiles {
  readonly source: "CONSUL_CACERT" | "CONSUL_CAPATH";
  readonly paths: Readonly<Record<string, string>>;
}

/** CONSUL_CACERT, else every file under CONSUL_CAPATH, but for what Kubernetes keeps beside a volume's files (`..data`). */
function authorityFiles(env: Environment): AuthorityFiles | undefined {
  if (env.CONSUL_CACERT) return { source: "CONSUL_CACERT", paths: { "ca:0": env.CONSUL_CACERT } };
  const folder = env.CONSUL_CAPATH;
  if (!folder) return undefined;
  const files = attempt("CONSUL_CAPATH", folder, () =>
    readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((name) => !name.split(/[\\/]/).some((part) => part.startsWith("..")))
      .sort()
      .map((name) => join(folder, name))
      .filter((path) => statSync(path).isFile()),
  );
  if (files.length === 0)
    throw new TypeError(`Cannot use CONSUL_CAPATH as the folder has no files: received "${folder}"`);
  return { source: "CONSUL_CAPATH", paths: Object.fromEntries(files.map((path, at) => [`ca:${at}`, path])) };
}

function sourceOf(name: string, authorities: AuthorityFiles | undefined): string {
  return name.startsWith("ca:") ? (authorities?.source ?? name) : name;
}

function readPem(source: string, path: string): void {
  checkPem(source, path, readText(source, path));
}

function checkPem(source: string, path: string, text: string): void {
  if (!text.includes("-----BEGIN ")) {
    throw new TypeError(`Cannot use ${source} as the file is not PEM: received "${path}"`);
  }
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
