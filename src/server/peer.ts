// Who is at the other end of a connection, and how handlers learn it. Lets nobody in and keeps nobody out.

import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { type ContextKey, type ContextValues, createContextKey, createContextValues } from "@connectrpc/connect";
import { formatHostPort } from "../core/host-port.ts";
import { type PeerIdentity, readPeerIdentity } from "../runtime/peer-identity.ts";

/** The other end of a connection. The same object for all its calls. */
export interface Peer {
  /** Host and port that it comes from, which may be a proxy's: `10.0.0.7:51234`. */
  readonly address: string;
  /** What its verified certificate says; undefined in cleartext, and where it has shown none. */
  readonly identity: PeerIdentity | undefined;
}

/**
 * Where a handler and an interceptor find their caller: `context.values.get(callPeer)`. Undefined in what was not called through a
 * server of lictor.
 */
export const callPeer: ContextKey<Peer | undefined> = createContextKey<Peer | undefined>(undefined, {
  description: "the caller's end of the connection",
});

/** Looks at a connected socket; one of TLS after its handshake. */
export function peerOf(socket: Socket): Peer {
  const { remoteAddress = "", remotePort = 0 } = socket;
  return { address: formatHostPort(remoteAddress, remotePort), identity: identityOf(socket) };
}

/** The values that the calls of a connection begin with. */
export function valuesWithPeer(peer: Peer): ContextValues {
  return createContextValues().set(callPeer, peer);
}

function identityOf(socket: Socket): PeerIdentity | undefined {
  if (!("encrypted" in socket)) return undefined;
  const { authorized } = socket as TLSSocket;
  const certificate = (socket as TLSSocket).getPeerCertificate();
  // Who has shown none has an empty object, and who was not asked.
  if (!authorized || certificate?.raw === undefined) return undefined;
  try {
    return readPeerIdentity(certificate.raw);
  } catch {
    // The TLS library could read it, and we cannot: nobody whom anybody knows.
    return undefined;
  }
}
