// Whether this machine has an IPv6 loopback, in the form that node:test's option `skip` takes.

import { networkInterfaces } from "node:os";

const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);

/** Why tests of IPv6 are left out here, or false. */
export const noIpv6: string | false = addresses.some(({ address }) => address === "::1")
  ? false
  : "no IPv6 loopback on this machine";
