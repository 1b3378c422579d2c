// Bodies of the agent's write requests: which fields there are, in each version. Gives them types; what they must hold is
// for validation.ts. https://developer.hashicorp.com/consul/api-docs/agent/service, .../agent/check

import { type Decoder, decodeDocument } from "./go/decoder.ts";
import { type JsonNode, parseGoJson } from "./go/json.ts";
import { boolType, durationType, intType, stringType } from "./go/scalars.ts";
import { listOf, mapOf, structOf } from "./go/struct.ts";
import type { ConsulCompat, NamedPort, TaggedAddress } from "./model.ts";
import { ReplyError } from "./reply.ts";

/** What checks inside a service and checks on their own share. Durations in milliseconds. */
export interface CheckSettings {
  Name: string;
  Notes: string;
  Status: string;
  TTL: number;
  Interval: number;
  Timeout: number;
  HTTP: string;
  Header: Readonly<Record<string, readonly string[] | undefined>> | undefined;
  Method: string;
  Body: string;
  TCP: string;
  GRPC: string;
  GRPCUseTLS: boolean;
  TLSSkipVerify: boolean;
  TLSServerName: string;
  DeregisterCriticalServiceAfter: number;
  SuccessBeforePassing: number;
  FailuresBeforeCritical: number;
  OutputMaxSize: number;
  ScriptArgs: readonly string[] | undefined;
  Shell: string;
  DockerContainerID: string;
  AliasNode: string;
  AliasService: string;
  UDP: string;
  OSService: string;
  H2PING: string;
  ServiceID: string;
  CheckID: string;
  ID: string;
}

/** Body of `/v1/agent/service/register`. Absent fields have Go's zero values. */
export interface ServiceDefinition {
  Kind: string;
  ID: string;
  Name: string;
  Tags: readonly string[] | undefined;
  Address: string;
  TaggedAddresses: Readonly<Record<string, TaggedAddress>> | undefined;
  Meta: Readonly<Record<string, string>> | undefined;
  Port: number;
  Ports: readonly NamedPort[] | undefined;
  SocketPath: string;
  Check: CheckSettings;
  Checks: readonly CheckSettings[] | undefined;
  Weights: { Passing: number; Warning: number } | undefined;
  Token: string;
  EnableTagOverride: boolean;
  Proxy: boolean;
  Connect: boolean;
}

/** Body of `/v1/agent/check/update/:id`. */
export interface CheckUpdate {
  Status: string;
  Output: string;
}

/** Reads a service definition. Throws ReplyError 400. */
export function decodeServiceDefinition(body: string, compat: ConsulCompat): ServiceDefinition {
  return decodeBody(serviceTypes[compat], body);
}

/** Reads a check definition. Throws ReplyError 400. */
export function decodeCheckDefinition(body: string, compat: ConsulCompat): CheckSettings {
  return decodeBody(checkDefinitionTypes[compat], body);
}

/** Reads an update of a check. Throws ReplyError 400. */
export function decodeCheckUpdate(body: string): CheckUpdate {
  return decodeBody(checkUpdateType, body);
}

function decodeBody<T>(decoder: Decoder<T>, body: string): T {
  try {
    return decodeDocument(decoder, parseGoJson(body));
  } catch (error) {
    throw new ReplyError(400, `Request decode failed: ${error instanceof Error ? error.message : error}`);
  }
}

const checkUpdateType = structOf<CheckUpdate>(
  "agent.checkUpdate",
  { Status: stringType, Output: stringType },
  { structName: "checkUpdate" },
);

const checkFields: { readonly [K in keyof CheckSettings]: Decoder<CheckSettings[K]> } = {
  Name: stringType,
  Notes: stringType,
  Status: stringType,
  TTL: durationType,
  Interval: durationType,
  Timeout: durationType,
  HTTP: stringType,
  Header: mapOf(listOf(stringType)),
  Method: stringType,
  Body: stringType,
  TCP: stringType,
  GRPC: stringType,
  GRPCUseTLS: boolType,
  TLSSkipVerify: boolType,
  TLSServerName: stringType,
  DeregisterCriticalServiceAfter: durationType,
  SuccessBeforePassing: intType,
  FailuresBeforeCritical: intType,
  OutputMaxSize: intType,
  ScriptArgs: listOf(stringType),
  Shell: stringType,
  DockerContainerID: stringType,
  AliasNode: stringType,
  AliasService: stringType,
  UDP: stringType,
  OSService: stringType,
  H2PING: stringType,
  ServiceID: stringType,
  CheckID: stringType,
  ID: stringType,
};

// Consul's own snake case spellings.
const checkAliases: Readonly<Record<string, keyof CheckSettings>> = {
  Args: "ScriptArgs",
  script_args: "ScriptArgs",
  deregister_critical_service_after: "DeregisterCriticalServiceAfter",
  docker_container_id: "DockerContainerID",
  tls_skip_verify: "TLSSkipVerify",
  service_id: "ServiceID",
};

const newerCheckFields = ["TLSServerName", "UDP", "OSService", "H2PING"] as const;

// The id is CheckID within a service and ID in a registration of its own.
function checkTypes(compat: ConsulCompat): { inner: Decoder<CheckSettings>; alone: Decoder<CheckSettings> } {
  const newer = compat === "1.8" ? newerCheckFields : [];
  const aliases = checkAliases;
  return {
    inner: structOf("structs.CheckType", checkFields, { aliases, opaque: true, absent: [...newer, "ID"] }),
    alone: structOf("structs.CheckDefinition", checkFields, { aliases, absent: [...newer, "CheckID"] }),
  };
}

// Consul reads these in full; the embedded agent only sees whether they ask for anything, and then refuses them.
const presence: Decoder<boolean> = {
  goType: "bool",
  zero: false,
  decode: (node) => node.type === "object" && node.entries.some(([, value]) => !isZero(value)),
};

function isZero(node: JsonNode): boolean {
  return node.type === "null" || (node.type === "bool" && !node.value);
}

function serviceType(compat: ConsulCompat): Decoder<ServiceDefinition> {
  const check = checkTypes(compat).inner;
  const taggedAddress = structOf<{ Address: string; Port: number }>(
    "structs.ServiceAddress",
    { Address: stringType, Port: intType },
    { structName: "ServiceAddress" },
  );
  const weights = structOf<{ Passing: number; Warning: number }>(
    "structs.Weights",
    { Passing: intType, Warning: intType },
    { structName: "Weights" },
  );
  const namedPort = structOf<{ name: string; port: number; default: boolean }>(
    "structs.ServicePort",
    { name: stringType, port: intType, default: boolType },
    { structName: "ServicePort" },
  );
  const optionalWeights: Decoder<{ Passing: number; Warning: number } | undefined> = { ...weights, zero: undefined };
  return structOf<ServiceDefinition>(
    "structs.ServiceDefinition",
    {
      Kind: stringType,
      ID: stringType,
      Name: stringType,
      Tags: listOf(stringType),
      Address: stringType,
      TaggedAddresses: mapOf(taggedAddress),
      Meta: mapOf(stringType),
      Port: intType,
      Ports: listOf(namedPort),
      SocketPath: stringType,
      Check: check,
      Checks: listOf(check, "structs.CheckTypes"),
      Weights: optionalWeights,
      Token: stringType,
      EnableTagOverride: boolType,
      Proxy: presence,
      Connect: presence,
    },
    {
      aliases: { enable_tag_override: "EnableTagOverride", tagged_addresses: "TaggedAddresses" },
      absent: compat === "1.8" ? ["Ports", "SocketPath"] : [],
    },
  );
}

const checkDefinitionTypes: Readonly<Record<ConsulCompat, Decoder<CheckSettings>>> = {
  "1.8": checkTypes("1.8").alone,
  "1.22": checkTypes("1.22").alone,
};

const serviceTypes: Readonly<Record<ConsulCompat, Decoder<ServiceDefinition>>> = {
  "1.8": serviceType("1.8"),
  "1.22": serviceType("1.22"),
};
