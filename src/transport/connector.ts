// The Connector contract: how an endpoint is reached. Implementations live in src/connector; this room knows no network.

import type { DescMessage, DescMethodUnary, MessageInitShape } from "@bufbuild/protobuf";
import type { ConnectError, Transport, UnaryResponse } from "@connectrpc/connect";
import type { CallSignal } from "../core/call-signal.ts";
import type { Endpoint } from "../core/endpoint.ts";

/**
 * Where a connection stands.
 * - `idle`: not connected and not trying; `connect()` starts.
 * - `connecting`: an attempt is under way.
 * - `ready`: calls can be sent.
 * - `draining`: the server asked us to leave, or `drain()` was called: calls in flight go on, new ones are refused.
 * - `closed`: over for good. `reason` says why: undefined after a close that was asked for and orderly.
 */
export type ConnectionState =
  | { readonly type: "idle" }
  | { readonly type: "connecting" }
  | { readonly type: "ready"; readonly sinceMs: number }
  | { readonly type: "draining" }
  | { readonly type: "closed"; readonly reason: unknown };

/** A faster way to make unary calls than `Transport.unary`, which costs its callers a promise, and often an AbortSignal, a call. */
export interface UnaryCaller {
  /**
   * Makes a call as `Transport.unary` does, but is ended by any CallSignal, of which it needs no events once it is over. Before the call
   * fails, `recourse` is asked once, with the error and what is left of the deadline in milliseconds (undefined where the caller keeps none
   * of it): where it gives a promise, the call ends as that does. Neither throws.
   */
  unaryCall<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    signal: CallSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersInit | undefined,
    input: MessageInitShape<I>,
    recourse: (error: ConnectError, remainingMs: number | undefined) => Promise<UnaryResponse<I, O>> | undefined,
  ): Promise<UnaryResponse<I, O>>;
}

/**
 * What a connection knows of its calls: plain numbers, brought up to date as calls begin and end, and read when somebody wants to know. All but
 * those under way only grow.
 */
export interface CallCounts {
  /** Calls of any kind that ended with ok. */
  readonly ok: number;
  /** Calls of any kind under way, those that wait for a free stream among them. */
  readonly active: number;
  /** Unary calls under way. */
  readonly unaryActive: number;
  /** Unary calls that have ended, however. */
  readonly unaryEnded: number;
}

/** One connection to one endpoint. It moves through its states once, forwards only; a lost connection is replaced, not revived. */
export interface Connection {
  readonly endpoint: Endpoint;
  readonly state: ConnectionState;
  /** Starts connecting; does nothing in any state but `idle`. */
  connect(): void;
  /**
   * Sends calls on this connection and no other. A call made in another state than `ready` fails as unprocessed
   * (see call-fate.ts), and so does one that the peer refused before its program saw it. It ends calls at their deadline and with their
   * signal by itself: nobody else does. What it answers is the caller's own: a stream's `message` may be replaced.
   */
  readonly transport: Transport;
  /** For callers that care for the last microsecond; absent where there is no faster way. */
  readonly caller?: UnaryCaller;
  /** What it counts of its calls. Where it counts nothing, whoever uses it counts what passes, and each call costs a little more. */
  readonly counts?: CallCounts;
  /**
   * Sends an HTTP/2 PING in state `ready`; `onAnswer` is called when the answer comes, never where the connection ends before. Absent where it cannot.
   */
  ping?(onAnswer: () => void): void;
  /** Takes no new calls, finishes those in flight, then closes. Idempotent; resolves when closed. */
  drain(): Promise<void>;
  /** Closes now: calls in flight fail with `unavailable`. Idempotent; resolves when the socket is gone. */
  close(reason?: unknown): Promise<void>;
}

/** What a connection tells its owner. */
export interface ConnectionListener {
  /** Called once for every change of state, in order, never from within the call of the connector or of `connect()`. */
  onState(state: ConnectionState): void;
}

/** A way to reach endpoints. Opens no socket before `connect()`. */
export type Connector = (endpoint: Endpoint, listener: ConnectionListener) => Connection;
