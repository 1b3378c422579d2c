// The CallGate contract: whether a call is taken, and when its handler may begin. A server under overload has one; implementation:
// server/overload/call-queue.ts. Types, and what a client is told of a call that was not taken.

import { Code, ConnectError } from "@connectrpc/connect";

/** Why a call is not taken. No handler has seen it, nor its message been decoded. */
export interface Refusal {
  /**
   * Milliseconds after which the client may try again, here or elsewhere: gRFC A6, `grpc-retry-pushback-ms`. Undefined: at once, elsewhere,
   * which HTTP/2 says with REFUSED_STREAM (RFC 9113, section 8.7).
   */
  readonly pushbackMs: number | undefined;
}

/** A call that may have to wait for its turn. None of its functions may throw. */
export interface GatedCall {
  /** What the gate gave it, from the moment that it entered. The gate sets it. */
  ticket: GateTicket | undefined;
  /** Whether its handler runs only after `begin` has returned. */
  readonly beginsLater: boolean;
  /** Milliseconds to its deadline, counted from its arrival; undefined where it has none. */
  remainingMs(): number | undefined;
  /** It is its turn. */
  begin(): void;
  /** It is not taken after all. */
  refuse(refusal: Refusal): void;
  /** Its deadline passed before its turn came. */
  onDeadline(): void;
}

/** A call's place: in the queue first, then among those that run. */
export interface GateTicket {
  /** The call is over and its handler does not run, or no longer. Again does nothing. */
  release(): void;
  /** The call is over and its handler runs on, perhaps for ever: `release` follows, or the gate sees to it by itself in time. */
  abandon(): void;
}

/** One kind of calls' way in. */
export interface CallGate {
  /** Why a call that just came is not to be taken; undefined where it may enter. `timeoutMs`: to its deadline, if it has one. */
  refusalFor(timeoutMs: number | undefined): Refusal | undefined;
  /** Has the call begin: now, or when it is its turn; or refuses it. `heldBytes`: of its message, which waits with it. */
  enter(call: GatedCall, heldBytes: number): void;
}

/** Field that says when to come again: gRFC A6, "Pushback". */
export const pushbackField = "grpc-retry-pushback-ms";

const refusalText = "the server is overloaded";

/** The status of a call that is told when to come again. */
export function refusalError(pushbackMs: number): ConnectError {
  return new ConnectError(refusalText, Code.Unavailable, { [pushbackField]: String(pushbackMs) });
}

/** The same as fields of trailers. */
export function refusalFields(pushbackMs: number): readonly string[] {
  return ["grpc-status", String(Code.Unavailable), "grpc-message", refusalText, pushbackField, String(pushbackMs)];
}
