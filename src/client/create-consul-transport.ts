// The client as most people use it: Consul says who is there, round-robin says who is next, HTTP/2 carries the call.
// Puts resolver, balancer and connector together with their defaults; holds no logic of its own.

import type { ClientTlsOptions } from "../connector/client-tls.ts";
import { createHttp2Connector, type Http2ConnectorOptions } from "../connector/http2-connector.ts";
import { engineOptions } from "../connector/socket-connector.ts";
import { asConsulClient, type ConsulClient, type ConsulClientOptions } from "../consul/consul-client.ts";
import type { EndpointStore } from "../core/endpoint-store.ts";
import { type ConsulResolverOptions, consulStoreKey, createConsulResolver } from "../resolver/consul-resolver.ts";
import { mergeTarget } from "../resolver/merge-target.ts";
import type { Resolver } from "../resolver/resolver.ts";
import { createStoredResolver, type StoredUse } from "../resolver/stored-resolver.ts";
import {
  type BalancedTransport,
  type BalancingOptions,
  createBalancedTransport,
} from "../transport/balanced-transport.ts";
import type { Connector } from "../transport/connector.ts";
import type { ServiceConfigSource } from "../transport/service-config/service-config.ts";
import type { GivenServiceConfig } from "../transport/service-config/service-config-holder.ts";
import { consulServiceConfig } from "./consul-service-config.ts";

/** How to find and call a service, whatever its name. */
export interface ConsulTransportSettings
  extends Omit<ConsulResolverOptions, "consul" | "service" | "scheme" | "passingOnly">,
    Omit<BalancingOptions, "serviceConfig">,
    StoredUse,
    Omit<Http2ConnectorOptions, "tls"> {
  /** The agent to ask: its address, options of a client, or a client. Default `http://127.0.0.1:8500`. Reads no environment: see `consulFromEnv`. Beside a target that names the agent: what else its client is told, a token first of all. */
  readonly consul?: ConsulClient | ConsulClientOptions | string;
  /** Leave out instances with a warning check altogether. Default false: they are called while too few others pass, see `minPassingPercent`. Those with a critical one never are. */
  readonly passingOnly?: boolean;
  /** Calls over TLS: `true` trusts the runtime's authorities. Default: cleartext, or TLS where a target says `scheme=https`. */
  readonly tls?: boolean | ClientTlsOptions;
  /** How endpoints are reached, instead of by `createHttp2Connector`, whose options are then the connector's own; so is `tls`, but for its scheme. */
  readonly connector?: Connector;
  /** Where endpoints are kept, so that a process that starts while Consul is down finds its servers: `fileStore(folder)`, or your own. Default: nowhere. */
  readonly store?: EndpointStore;
  /** gRPC's service config: an object, its JSON as text, a source that is followed, or a key of the same Consul (see `consulServiceConfig`). Default: none. */
  readonly serviceConfig?: GivenServiceConfig | ConsulKeyConfig;
}

/** A service config that is kept in Consul's key-value store. */
export interface ConsulKeyConfig {
  /** The key, like `services/hello/config`; its value is the service config as JSON. The token needs `key:read` on it. */
  readonly consulKey: string;
}

/** Settings, and the service: by its name, or by a target that names it, and often the agent and more. */
export type ConsulTransportOptions = ConsulTransportSettings &
  (
    | {
        /** Name of the service; Consul compares it without regard to case. */
        readonly service: string;
        readonly target?: undefined;
      }
    | {
        /** Instead of the service: `consul://host:8500/HelloService?tag=v2`, see `parseTarget`. What it says, no option may say too. */
        readonly target: string;
        readonly service?: undefined;
      }
  );

/**
 * Creates a Connect transport over the instances of a service in Consul; a string is a target. Opens nothing before the first
 * call; close it when done. Throws TypeError or RangeError on bad options, where target and options say the same thing, and where
 * `connector` stands beside options that only `createHttp2Connector` would take.
 */
export function createConsulTransport(options: ConsulTransportOptions | string): BalancedTransport {
  return openConsulTransport(options);
}

/** `createConsulTransport` where a service may go unnamed: it is `defaultService` then. For clients of one service. */
export function openConsulTransport(
  options:
    | (ConsulTransportSettings & { readonly service?: string | undefined; readonly target?: string | undefined })
    | string
    | undefined,
  defaultService?: string,
): BalancedTransport {
  const given = typeof options === "string" ? { target: options } : (options ?? {});
  const { tls: givenTls, connector, target: _target, service: _service, serviceConfig: config, ...rest } = given;
  const merged = mergeTarget(given, defaultService);
  // One client for both, which may have state: which agent answered last.
  const query = isConsulKey(config) ? { ...merged, consul: asConsulClient(merged.consul) } : merged;
  const serviceConfig = isConsulKey(config) ? keyedConfig(config.consulKey, { ...rest, ...query }) : config;
  const tls = tlsOf(givenTls, query.scheme);
  if (connector !== undefined) refuseConnectorOptions(given);
  return createBalancedTransport({
    ...rest,
    ...(serviceConfig === undefined ? {} : { serviceConfig }),
    resolver: resolverOf({ passingOnly: false, ...rest, ...query, scheme: tls === false ? "http" : "https" }),
    connector: connector ?? createHttp2Connector({ ...rest, ...(typeof tls === "object" ? { tls } : {}) }),
  });
}

function resolverOf(options: ConsulResolverOptions & StoredUse & { readonly store?: EndpointStore }): Resolver {
  const { store, storedAfterMs, storedMaxAgeMs, logger, clock } = options;
  const resolver = createConsulResolver(options);
  if (store === undefined) {
    if (storedAfterMs === undefined && storedMaxAgeMs === undefined) return resolver;
    throw new TypeError('Cannot use "storedAfterMs" or "storedMaxAgeMs" without a "store"');
  }
  return createStoredResolver({
    resolver,
    store,
    key: consulStoreKey(options),
    scheme: options.scheme ?? "http",
    ...(storedAfterMs === undefined ? {} : { storedAfterMs }),
    ...(storedMaxAgeMs === undefined ? {} : { storedMaxAgeMs }),
    ...(logger === undefined ? {} : { logger }),
    ...(clock === undefined ? {} : { clock }),
  });
}

/** No service config has a field of this name. */
function isConsulKey(config: ConsulTransportSettings["serviceConfig"]): config is ConsulKeyConfig {
  return typeof config === "object" && config !== null && "consulKey" in config;
}

function keyedConfig(
  key: string,
  { consul, datacenter, consistency, waitMs, clock, random }: ConsulResolverOptions,
): ServiceConfigSource {
  return consulServiceConfig({
    consul,
    key,
    ...(datacenter === undefined ? {} : { datacenter }),
    ...(consistency === undefined ? {} : { consistency }),
    ...(waitMs === undefined ? {} : { waitMs }),
    ...(clock === undefined ? {} : { clock }),
    ...(random === undefined ? {} : { random }),
  });
}

const ownConnector = "createHttp2Connector";
const eitherConnector = `${ownConnector} or createNodeHttp2Connector`;

/** Those that every connector has; `clock` and `logger` are everybody's, and of `tls` more is taken than its settings. */
const sharedOptions: Readonly<
  Record<Exclude<keyof Http2ConnectorOptions, keyof typeof engineOptions | "clock" | "logger" | "tls">, true>
> = { connectTimeoutMs: true, maxReceiveBytes: true, keepalive: true };

/** Who takes an option that a connector of the caller's own does not see; undefined where that is nobody. */
function takersOf(name: string): string | undefined {
  if (Object.hasOwn(engineOptions, name)) return ownConnector;
  return Object.hasOwn(sharedOptions, name) ? eitherConnector : undefined;
}

/** What would be lost without a word. Throws TypeError. */
function refuseConnectorOptions(given: Partial<ConsulTransportSettings>): void {
  for (const [name, value] of Object.entries(given)) {
    const isSettings = name === "tls" && typeof value === "object";
    const takers = isSettings ? eitherConnector : takersOf(name);
    if (value === undefined || takers === undefined) continue;
    // `true` stays of use: endpoints are https then.
    const rest = isSettings ? ', and say "tls: true" here' : "";
    throw new TypeError(
      `Cannot use "connector" and "${name}" together as a connector has its own: give it to ${takers}${rest}`,
    );
  }
}

/** `scheme` is the target's: https wants TLS, of which `tls` may tell more; it cannot be talked out of it, nor http into it. */
function tlsOf(
  tls: boolean | ClientTlsOptions | undefined,
  scheme: "http" | "https" | undefined,
): boolean | ClientTlsOptions {
  if (scheme === undefined) return tls ?? false;
  const wanted = scheme === "https";
  if (tls !== undefined && (tls !== false) !== wanted) {
    throw new TypeError(
      `Cannot use "target" and "tls" together as they disagree: received scheme=${scheme}, tls ${tls === false ? "false" : "on"}`,
    );
  }
  return tls ?? wanted;
}
