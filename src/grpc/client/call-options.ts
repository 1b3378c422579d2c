// How calls are made, resolved: every option is there. Checked where users give them (src/connector).

import type { Compression } from "@connectrpc/connect/protocol";
import type { Clock } from "../../core/clock.ts";

/** Sizes in bytes. */
export interface CallOptions {
  /** Origin of the peer: scheme, host and port. Names it in errors, too. */
  readonly url: string;
  /** Largest message taken, after decompression. */
  readonly maxReceiveBytes: number;
  /** Largest message sent, before compression. */
  readonly maxSendBytes: number;
  /** What answers may be compressed with, most wanted first. */
  readonly acceptCompression: readonly Compression[];
  /** What messages of at least `compressMinBytes` are compressed with. */
  readonly sendCompression: Compression | undefined;
  readonly compressMinBytes: number;
  /** Calls that may wait for a free stream. Default: any number. */
  readonly maxPendingCalls?: number;
  readonly clock: Clock;
}
