// What became of a call that failed, decided by facts of the connection, never by its gRPC code. Whoever sees the fact records it on the
// error; the transport's retries and the caller read it. Keeps nothing of an error that nobody else keeps.

/**
 * What became of a call that failed.
 * - `unprocessed`: no server program can have seen it: it was never sent, or a server refused it before its program ran
 *   (REFUSED_STREAM, or above the last id of a GOAWAY: RFC 9113, section 8.7). Sending it again is always right.
 * - `maybe-processed`: it was sent, and how far it came is not known: the connection was lost, the deadline passed, the call was given up.
 *   Sending it again is right for methods that may run twice.
 * - `answered`: the error is a server's own word: a gRPC status came.
 */
export type CallFate = "unprocessed" | "maybe-processed" | "answered";

/** How an unprocessed call ended: nobody was asked, or a server was reached and turned it away. */
export type Unprocessed = "never-sent" | "refused";

interface CallFacts {
  readonly fate: CallFate;
  /** It reached a server, which turned it away. */
  readonly wasRefused: boolean;
  /** Another endpoint would do no better. */
  readonly isHopeless: boolean;
  /** The connection whose end ended it. */
  readonly cutBy: object | undefined;
}

const facts = new WeakMap<object, CallFacts>();

const answered: CallFacts = { fate: "answered", wasRefused: false, isHopeless: false, cutBy: undefined };

/** Errors wrapped in one another that are looked through: a chain may be a ring. */
const maxCauses = 8;

/**
 * What became of the call that failed with `error`: of the whole call, where several attempts were made. Looks along `cause`, so that an error
 * that wraps another has its fate. `maybe-processed` for what is not known, as that promises least.
 */
export function callFate(error: unknown): CallFate {
  return factsOf(error)?.fate ?? "maybe-processed";
}

/**
 * Records on an error that its call was not processed, and returns the error. `cutBy`: the connection whose end, or GOAWAY, has ended it, where
 * it may have ended others too.
 */
export function markUnprocessed<E extends object>(error: E, how: Unprocessed = "never-sent", cutBy?: object): E {
  return mark(error, { fate: "unprocessed", wasRefused: how === "refused", isHopeless: false, cutBy });
}

/**
 * Records on an error that it is what a server answered, and returns the error. Not needed for a ConnectError that says so itself
 * (`isWireError`).
 */
export function markAnswered<E extends object>(error: E): E {
  return mark(error, answered);
}

/** Records on an error that its call may have been processed, whatever its causes say, and returns the error. `cutBy` as in `markUnprocessed`. */
export function markMaybeProcessed<E extends object>(error: E, cutBy?: object): E {
  return mark(error, { fate: "maybe-processed", wasRefused: false, isHopeless: false, cutBy });
}

/**
 * Records on an error that its call was not sent and that no endpoint would do better: bad metadata, a message that is too large, a deadline
 * that has passed. Returns the error.
 */
export function markUnsendable<E extends object>(error: E): E {
  return mark(error, { fate: "unprocessed", wasRefused: false, isHopeless: true, cutBy: undefined });
}

/** Whether a fate was recorded on the error itself: that of an error it wraps may be another call's. */
export function isMarked(error: object): boolean {
  return facts.has(error);
}

/** Whether the call reached a server that turned it away: such attempts count against a retry budget, those that were never sent do not. */
export function wasRefused(error: unknown): boolean {
  return factsOf(error)?.wasRefused ?? false;
}

/** Whether the call was not sent and would be no better off elsewhere. */
export function isUnsendable(error: unknown): boolean {
  return factsOf(error)?.isHopeless ?? false;
}

/** The connection whose end ended the call: the same one for all calls that it has ended. Undefined where the call failed alone. */
export function cutBy(error: unknown): object | undefined {
  return factsOf(error)?.cutBy;
}

function mark<E extends object>(error: E, known: CallFacts): E {
  facts.set(error, known);
  return error;
}

function factsOf(error: unknown): CallFacts | undefined {
  let at = error;
  for (let depth = 0; depth < maxCauses; depth++) {
    if (typeof at !== "object" || at === null) return undefined;
    const known = facts.get(at);
    if (known !== undefined) return known;
    // Connect says so of errors that it has read from an answer.
    if ("isWireError" in at && at.isWireError === true) return answered;
    at = "cause" in at ? at.cause : undefined;
  }
  return undefined;
}
