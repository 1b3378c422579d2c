// Which server a room lives on. Servers and clients ask the same function, over the same list from Consul, so they agree.

import { createHash } from "node:crypto";
import type { Endpoint, NewPicker } from "lictor";

/**
 * The server with the highest hash of room and server (rendezvous hashing): one that comes or goes moves only the rooms that
 * are its own. Undefined where there is no server.
 */
export function ownerOf(room: string, servers: readonly Endpoint[]): Endpoint | undefined {
  const score = ({ id }: Endpoint) => createHash("sha256").update(`${id} ${room}`).digest("hex");
  return servers.toSorted((a, b) => (score(a) < score(b) ? 1 : -1))[0];
}

/** A balancing policy for a transport whose calls are all about one room: every call goes to the room's server. */
export function pinTo(room: string): NewPicker {
  return (ready) => {
    const endpoint = ownerOf(room, ready);
    return {
      pick: (exclude) => (endpoint && !exclude?.has(endpoint.id) ? { endpoint, done() {} } : undefined),
    };
  };
}
