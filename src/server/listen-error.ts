// The one error class of the server: a port that cannot be had.

import { formatHostPort } from "../core/host-port.ts";

/** What a ListenError knows. */
export interface ListenErrorDetails {
  readonly host: string;
  readonly port: number;
  /** What the runtime threw. */
  readonly cause: unknown;
}

/** A server cannot listen. */
export class ListenError extends Error {
  override readonly name = "ListenError";
  /** The system's code: `EADDRINUSE` for a busy port, `EACCES`, `EADDRNOTAVAIL`, ...; `UNKNOWN` where it gave none. */
  readonly code: string;
  readonly host: string;
  readonly port: number;

  constructor({ host, port, cause }: ListenErrorDetails) {
    const code = systemCode(cause);
    const address = formatHostPort(host, port);
    super(`Cannot listen on ${address} as ${reasons[code] ?? `the system refuses (${code})`}`, { cause });
    this.code = code;
    this.host = host;
    this.port = port;
  }
}

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: "the port is in use",
  EACCES: "this user may not open the port",
  EADDRNOTAVAIL: "the host is no address of this machine",
  ENOTFOUND: "the host cannot be resolved",
};

function systemCode(cause: unknown): string {
  const code = typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined;
  return typeof code === "string" ? code : "UNKNOWN";
}
