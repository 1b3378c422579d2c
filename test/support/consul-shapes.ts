// Shapes of Consul's answers, as far as the contract suite reads them.

/** A check in a health answer or of the agent. */
export interface CheckShape {
  readonly Node: string;
  readonly CheckID: string;
  readonly Name: string;
  readonly Status: string;
  readonly Notes: string;
  readonly Output: string;
  readonly ServiceID: string;
  readonly ServiceName: string;
  readonly ServiceTags: readonly string[];
  readonly Type: string;
  readonly Interval?: string;
  readonly Timeout?: string;
}

/** A service in a health answer. */
export interface ServiceShape {
  readonly ID: string;
  readonly Service: string;
  readonly Tags: readonly string[];
  readonly Address: string;
  readonly TaggedAddresses?: Readonly<Record<string, { readonly Address: string; readonly Port: number }>>;
  readonly Meta: Readonly<Record<string, string>> | null;
  readonly Port?: number;
  readonly Ports?: readonly { readonly name: string; readonly port: number; readonly default: boolean }[];
  readonly Weights: { readonly Passing: number; readonly Warning: number };
  readonly PeerName?: string;
}

/** An entry of `/v1/health/service/:name`. */
export interface EntryShape {
  readonly Node: {
    readonly Node: string;
    readonly Address: string;
    readonly Datacenter: string;
    readonly Meta: Readonly<Record<string, string>>;
  };
  readonly Service: ServiceShape;
  readonly Checks: readonly CheckShape[];
}

/** An entry of `/v1/kv`. */
export interface KvShape {
  readonly Key: string;
  readonly Value: string | null;
  readonly Flags: number;
  readonly CreateIndex: number;
  readonly ModifyIndex: number;
}
