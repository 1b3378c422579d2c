// What every read of Consul's HTTP API can be asked for, and what comes back beside the data. Types only.
// https://developer.hashicorp.com/consul/api-docs/features/consistency, .../features/blocking

/** Options of any request. */
export interface RequestOptions {
  /** Aborts the request; the promise then rejects with the signal's reason, untouched. */
  readonly signal?: AbortSignal;
  /** Milliseconds without a whole answer before the request fails with code `timeout`, > 0. Default: the client's `timeoutMs`; blocking queries get wait * 17/16 + 10 s instead. */
  readonly timeoutMs?: number;
}

/** Options of reads that may block until something changes. */
export interface QueryOptions extends RequestOptions {
  /** Index of the answer already known, as Consul sent it. Absent or "0": answer at once. */
  readonly index?: string;
  /**
   * `agent` of the answer that `index` is of. A client of several agents that would ask another one leaves `index` out, as an index says
   * nothing there: that answer comes at once. Absent: the index is sent to whoever is asked first.
   */
  readonly indexAgent?: string;
  /**
   * Longest wait for a change in milliseconds, at least 1 and at most 600000; read only beside `index`. Default: Consul's 5 minutes.
   * Keep it at 60 s or less: an aborted wait holds its connection slot at the agent until it is over, and Node's fetch gives up after 300 s.
   */
  readonly waitMs?: number;
  /** Datacenter to ask, other than the client's. */
  readonly datacenter?: string;
  /** `stale`: any server answers, even without a leader. `consistent`: the leader makes sure it still leads. Default: the leader answers. */
  readonly consistency?: "default" | "stale" | "consistent";
  /** Sort by network distance from this node; `_agent` is the agent asked. */
  readonly near?: string;
  /** Filter expression, evaluated by Consul: https://developer.hashicorp.com/consul/api-docs/features/filtering */
  readonly filter?: string;
}

/** An answer and what its headers say. */
export interface QueryResult<T> {
  /** The body, read. */
  readonly data: T;
  /** X-Consul-Index, a decimal string, at least "1"; undefined when the answer carried none. Opaque: compare with `compareIndex` only. */
  readonly index: string | undefined;
  /** X-Consul-Knownleader; undefined when the answer carried none. */
  readonly knownLeader: boolean | undefined;
  /** X-Consul-Lastcontact: milliseconds since the answering server heard from the leader. */
  readonly lastContactMs: number | undefined;
  /** X-Consul-Results-Filtered-By-ACLs: the token's rights hid results. Only servers from 1.11 on say so, and only to who sends a token. */
  readonly filteredByAcls: boolean;
  /**
   * Whether rights may have hidden results without a word of it: `no-token` where nothing was sent to a Consul that denies by default,
   * `unsaid` where a token was sent to one that is too old to say anything of rights. Absent where neither is so.
   */
  readonly rightsInDoubt?: "no-token" | "unsaid";
  /** Address of the agent that answered, without credentials. */
  readonly agent?: string;
}
