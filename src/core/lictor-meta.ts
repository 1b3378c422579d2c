// How an instance's Meta in Consul says that its server is lictor's. Written by servers, read by clients; knows neither.

/** The key. Its value is "1": the server takes a PING every 10 s with calls under way, and answers it. */
export const lictorMetaKey = "lictor";

/** The most pairs that Consul takes: https://developer.hashicorp.com/consul/docs/services/configuration/services-configuration-reference#meta */
const maxPairs = 64;

/** `meta` with the mark; as it is where it has the key already, or no room for one more. */
export function withLictorMeta(meta: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  if (Object.hasOwn(meta, lictorMetaKey) || Object.keys(meta).length >= maxPairs) return meta;
  return { ...meta, [lictorMetaKey]: "1" };
}

/** Whether an endpoint's Meta has the mark. */
export function isLictorMeta(meta: Readonly<Record<string, string>>): boolean {
  return meta[lictorMetaKey] === "1";
}
