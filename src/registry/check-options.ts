// How Consul can learn whether an instance works. Types only.
// https://developer.hashicorp.com/consul/api-docs/agent/check#register-check

/** A check that we keep alive: Consul turns it critical when no heartbeat came for the TTL. */
export interface TtlCheckOptions {
  readonly type: "ttl";
  /** Milliseconds without a heartbeat before the instance counts as failed; a positive integer. Default 20000. */
  readonly ttlMs?: number;
  /** Milliseconds between heartbeats, varied by 10 % both ways; a positive integer, less than half the TTL. Default 5000, or a quarter of a TTL of less than 20 s. */
  readonly intervalMs?: number;
}

/** How often and how patiently the agent probes. */
interface ProbeOptions {
  /** Milliseconds between the agent's probes; a positive integer, raised by Consul to 1 s. Also how often we make sure that the agent still knows us. Default 5000. */
  readonly intervalMs?: number;
  /** Milliseconds a probe may take; a positive integer. Default: Consul's 10 s. */
  readonly timeoutMs?: number;
}

/** How a probe's TLS connection is verified. */
export interface ProbeTlsOptions {
  /** Whether the certificate is verified against the agent's roots. Default true. */
  readonly verify?: boolean;
  /** Name the certificate must carry. Only newer agents know this field: Consul 1.8 refuses the registration. */
  readonly serverName?: string;
}

/** The agent calls grpc.health.v1.Health/Check; only SERVING passes. */
export interface GrpcCheckOptions extends ProbeOptions {
  readonly type: "grpc";
  /** `host:port` or `host:port/service` as the agent reaches it. Default: the registered host and port, service "". */
  readonly target?: string;
  /** Probe over TLS. Default false. */
  readonly tls?: boolean | ProbeTlsOptions;
}

/** The agent sends a request: 2xx passes, 429 warns, anything else is critical. */
export interface HttpCheckOptions extends ProbeOptions {
  readonly type: "http";
  /** What the agent requests. Default: `http://<host>:<port>/healthz`, `https` with `tls`. */
  readonly url?: string;
  /** Default GET. */
  readonly method?: string;
  /** Headers of the probe. Everyone who may read the agent's checks can read them. */
  readonly headers?: Readonly<Record<string, string>>;
  /** How an `https` URL is verified; `true` makes the default URL one. */
  readonly tls?: boolean | ProbeTlsOptions;
}

/** The agent opens a TCP connection; an accepted one passes. */
export interface TcpCheckOptions extends ProbeOptions {
  readonly type: "tcp";
  /** `host:port` as the agent reaches it. Default: the registered host and port. */
  readonly target?: string;
}

/** How Consul learns whether the instance works. */
export type CheckOptions = TtlCheckOptions | GrpcCheckOptions | HttpCheckOptions | TcpCheckOptions;
