// The part of Cloudflare's socket API that is used, and where it comes from. The one place that names `cloudflare:sockets`, which only
// workerd has: it is imported when the first socket is opened, so that importing this file works everywhere.
// https://developers.cloudflare.com/workers/runtime-apis/tcp-sockets/

/** Where a socket leads. */
export interface SocketAddress {
  /** A name or an IP address, as a URL has it: workerd wants IPv6 in brackets. */
  readonly hostname: string;
  readonly port: number;
}

/** How a socket is opened. */
export interface WorkerSocketOptions {
  readonly secureTransport: "on" | "off";
  /** True: the end of what the peer sends does not cut what it is still sent. */
  readonly allowHalfOpen: boolean;
}

/** A socket as `connect()` returns it: not connected yet. `readable` is a stream of bytes, one that takes BYOB readers. */
export interface WorkerSocket {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  /** Resolves once it is connected, and TLS is up. */
  readonly opened: Promise<unknown>;
  readonly closed: Promise<unknown>;
  /** Closes both directions; resolves when it is done. */
  close(): Promise<unknown>;
}

/** `connect` of `cloudflare:sockets`, or anything like it. */
export type ConnectFunction = (address: SocketAddress, options: WorkerSocketOptions) => WorkerSocket;

/** The runtime's own `connect`. Rejects with TypeError where there is none. */
export async function workersConnect(): Promise<ConnectFunction> {
  try {
    // Not kept: a promise of one request must not be waited for in another.
    // @ts-expect-error: only who has the types of Cloudflare knows the module
    const { connect } = await import("cloudflare:sockets");
    return connect;
  } catch (cause) {
    throw new TypeError(
      'Cannot open a socket as this runtime has no module cloudflare:sockets; elsewhere "connect" must be given',
      { cause },
    );
  }
}
