// How a call is told to end, without an AbortSignal: making one, and listening to it, costs more than all the rest of a call on some runtimes.

/** As much of an AbortSignal as ends a call; every AbortSignal is one. */
export interface CallSignal {
  readonly aborted: boolean;
  /** Why; undefined while it is not aborted. */
  readonly reason: unknown;
  /** Whether the call's deadline has passed, of one that aborts there by itself: who heeds it needs no timer for that. */
  isPastDeadline?(): boolean;
  /** Has `listener` called once it aborts; not where it has already. */
  addEventListener(type: "abort", listener: () => void): void;
  /** Takes out what was added; does nothing where it was not. */
  removeEventListener(type: "abort", listener: () => void): void;
}
