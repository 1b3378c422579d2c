// Which pages of other origins may call the server: options, defaults and limits. Reads no request.

/** Which pages may call, and what they may send and read beyond what the protocols need. */
export interface CorsOptions {
  /**
   * Origins as browsers send them: `https://app.example`, `http://localhost:5173`; no path, no port that is the scheme's own.
   * `*` alone lets every page call. An empty list is the same as no `cors`.
   */
  readonly origins: readonly string[];
  /**
   * Request headers that pages may send, beside those of Connect and gRPC-Web: your own metadata, `Authorization`. Each by its
   * name. Default none.
   */
  readonly allowedHeaders?: readonly string[];
  /**
   * Response headers that pages may read, beside those of gRPC-Web: your own metadata. The trailer `x-took` of a unary answer
   * comes as the header `trailer-x-took` by Connect, so name that. Each by its name. Default none.
   */
  readonly exposedHeaders?: readonly string[];
  /** Seconds that a browser may keep the answer to a preflight, from 0 to 86400; browsers have limits of their own. Default 7200. */
  readonly maxAgeSeconds?: number;
  /** Whether pages may send cookies and the like. Not with `*`. Default false. */
  readonly credentials?: boolean;
}

/** The options, checked, as the headers of answers want them. */
export interface CorsPolicy {
  readonly origins: ReadonlySet<string> | "*";
  /** Comma-separated. */
  readonly allowedHeaders: string;
  /** Comma-separated. */
  readonly exposedHeaders: string;
  readonly maxAgeSeconds: number;
  readonly credentials: boolean;
}

/**
 * What browsers send beyond the headers that need no permission: https://connectrpc.com/docs/cors and
 * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md. Not the compression headers that Connect's own list has too:
 * a page cannot choose its compression.
 */
const protocolRequestHeaders = [
  "Content-Type",
  "Connect-Protocol-Version",
  "Connect-Timeout-Ms",
  "Grpc-Timeout",
  "X-Grpc-Web",
  "X-User-Agent",
];

/** Where an answer without a body says how the call ended. */
const protocolResponseHeaders = ["Grpc-Status", "Grpc-Message", "Grpc-Status-Details-Bin"];

/** Longest that a browser keeps a preflight: Firefox 86400 s, Chromium 7200 s. */
const maxMaxAgeSeconds = 86_400;

/** Fills in the defaults; undefined where no origin is named. Throws TypeError or RangeError that says what is wrong with what. */
export function resolveCors(cors: readonly string[] | CorsOptions | undefined): CorsPolicy | undefined {
  if (cors === undefined) return undefined;
  if (typeof cors !== "object" || cors === null) refuse("cors", "must be a list of origins or an object", cors);
  const options: CorsOptions = isList(cors) ? { origins: cors } : cors;
  const { origins, allowedHeaders = [], exposedHeaders = [], maxAgeSeconds = 7200, credentials = false } = options;
  if (!isList(origins)) refuse("cors.origins", "must be a list", origins);
  for (const origin of origins) checkOrigin(origin);
  const any = origins.includes("*");
  if (any && origins.length > 1) refuse("cors.origins", 'must be "*" alone, or without it', origins.join(", "));
  if (typeof credentials !== "boolean") refuse("cors.credentials", "must be a boolean", credentials);
  // https://fetch.spec.whatwg.org/#cors-protocol-and-credentials
  if (any && credentials) refuse("cors.origins", 'must name each origin with "cors.credentials"', "*");
  checkHeaderNames("cors.allowedHeaders", allowedHeaders);
  checkHeaderNames("cors.exposedHeaders", exposedHeaders);
  if (!(Number.isInteger(maxAgeSeconds) && maxAgeSeconds >= 0 && maxAgeSeconds <= maxMaxAgeSeconds)) {
    throw new RangeError(
      `Cannot serve as "cors.maxAgeSeconds" must be an integer from 0 to ${maxMaxAgeSeconds}: received ${maxAgeSeconds}`,
    );
  }
  if (origins.length === 0) return undefined;
  return {
    origins: any ? "*" : new Set(origins),
    allowedHeaders: joinNames(protocolRequestHeaders, allowedHeaders),
    exposedHeaders: joinNames(protocolResponseHeaders, exposedHeaders),
    maxAgeSeconds,
    credentials,
  };
}

/** Takes what is, to the letter, an origin: it is compared as text. https://html.spec.whatwg.org/#ascii-serialisation-of-an-origin */
function checkOrigin(origin: string): void {
  if (origin === "*") return;
  if (typeof origin !== "string") refuse("cors.origins", "must hold strings", origin);
  // Sandboxed pages of everybody send it.
  if (origin === "null")
    refuse("cors.origins", 'must not name "null", which stands for no origin in particular', origin);
  if (origin.includes("*")) refuse("cors.origins", 'must name each origin, or be "*" alone', origin);
  const meant = originOf(origin);
  if (meant === undefined) refuse("cors.origins", "must be scheme://host[:port]", origin);
  if (meant !== origin) refuse("cors.origins", `must be as browsers send them, here ${meant}`, origin);
}

/** The origin that a browser sends for a page at this URL; undefined where there is none. */
function originOf(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined;
  const { protocol, origin, host } = new URL(text);
  if (protocol === "http:" || protocol === "https:") return origin;
  // Pages of browser extensions and of apps: chrome-extension://ID, capacitor://localhost.
  return host === "" ? undefined : `${protocol}//${host.toLowerCase()}`;
}

function checkHeaderNames(option: string, names: readonly string[]): void {
  if (!isList(names)) refuse(option, "must be a list", names);
  for (const name of names) {
    // RFC 9110 section 5.6.2 has "*" for a name too; to browsers it is a wildcard, at times.
    if (typeof name !== "string") refuse(option, "must hold strings", name);
    if (name === "*") refuse(option, "must name each header", name);
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) refuse(option, "must hold names of headers", name);
  }
}

/** Comma-separated, each name once, whatever its case. */
function joinNames(...lists: readonly (readonly string[])[]): string {
  const names = new Map<string, string>();
  for (const name of lists.flat()) if (!names.has(name.toLowerCase())) names.set(name.toLowerCase(), name);
  return [...names.values()].join(", ");
}

// Array.isArray() alone does not tell a readonly array from what else the type allows.
function isList<T>(value: readonly string[] | T): value is readonly string[] {
  return Array.isArray(value);
}

function refuse(option: string, rule: string, value: unknown): never {
  throw new TypeError(`Cannot serve as "${option}" ${rule}: received ${String(value)}`);
}
