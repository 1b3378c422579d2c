// Which address a server announces to others, given the one it listens on. Registers nothing, opens nothing.

import { type NetworkInterfaceInfo, networkInterfaces } from "node:os";
import { type HostPort, stripBrackets } from "../core/host-port.ts";

/** What to announce instead of the address listened on: a public name, or a port that a proxy or a container maps. */
export interface AdvertiseOptions {
  /** Host name or IP literal. Default: the address listened on, or a real one of this machine where that is a wildcard. */
  readonly host?: string;
  /** 1 to 65535. Default: the port listened on. */
  readonly port?: number;
}

/**
 * The address to announce. A wildcard (`0.0.0.0`, `::`) means nothing to others: it becomes the machine's first IPv4 address
 * that is neither internal nor link-local (`::` takes IPv4 connections too, and more clients can dial them), for `::` else
 * such an IPv6 address, else loopback.
 */
export function announcedAddress(
  listening: HostPort,
  advertise: AdvertiseOptions = {},
  interfaces: () => ReturnType<typeof networkInterfaces> = networkInterfaces,
): HostPort {
  const host = advertise.host ?? listening.host;
  const port = advertise.port ?? listening.port;
  if (advertise.host !== undefined || !isWildcard(host)) return { host, port };
  const addresses = Object.values(interfaces()).flatMap((list) => list ?? []);
  const v6 = stripBrackets(host).includes(":");
  const found = addresses.find(isAnnounceable("IPv4")) ?? (v6 ? addresses.find(isAnnounceable("IPv6")) : undefined);
  return { host: found?.address ?? (v6 ? "::1" : "127.0.0.1"), port };
}

/** Whether a host stands for every address of the machine. */
function isWildcard(host: string): boolean {
  return /^(?:0\.0\.0\.0|[0:]*:[0:]*)$/.test(stripBrackets(host));
}

function isAnnounceable(family: "IPv4" | "IPv6"): (info: NetworkInterfaceInfo) => boolean {
  // Link-local addresses (RFC 3927, RFC 4291 section 2.5.6) mean nothing beyond their link.
  return (info) => info.family === family && !info.internal && !/^(?:169\.254\.|fe[89ab])/i.test(info.address);
}
