// Small pieces for streaming calls: reading messages at most once, handing one to several attempts, and noticing the end.

/** A view of the caller's messages that knows whether any was asked for. */
export interface UnreadMessages<T> {
  readonly iterable: AsyncIterable<T>;
  wasRead(): boolean;
}

/**
 * Hands the caller's messages to one attempt after another, as long as none was asked for. `throw` and `return` are kept from the
 * source: an attempt that failed would end it for the next one (Connect's runStreamingCall ends the real source when the call is over).
 */
export function unlessRead<T>(source: AsyncIterable<T>): UnreadMessages<T> {
  let read = false;
  let iterator: AsyncIterator<T> | undefined;
  return {
    iterable: {
      [Symbol.asyncIterator]: () => ({
        next() {
          read = true;
          iterator ??= source[Symbol.asyncIterator]();
          return iterator.next();
        },
        // Connect's pipe() demands it, and tells the source of a failed attempt through it.
        throw: (error: unknown) => Promise.reject(error),
      }),
    },
    wasRead: () => read,
  };
}

/**
 * The first of the caller's messages, for every attempt anew: it is read once, when it is first asked for, and kept. `throw` is kept
 * from the source, as in `unlessRead`.
 */
export function replayFirst<T>(source: AsyncIterable<T>): AsyncIterable<T> {
  let first: Promise<IteratorResult<T>> | undefined;
  return {
    [Symbol.asyncIterator]() {
      let isGiven = false;
      return {
        next() {
          if (isGiven) return Promise.resolve({ done: true, value: undefined });
          isGiven = true;
          first ??= source[Symbol.asyncIterator]().next();
          return first;
        },
        throw: (error: unknown) => Promise.reject(error),
      };
    },
  };
}

/**
 * Passes messages through and calls `done` exactly once: without an argument at the end, with the error where reading failed, with the
 * signal's reason where the call was aborted and nobody read on.
 */
export function onceStreamEnds<T>(
  source: AsyncIterable<T>,
  signal: AbortSignal,
  done: (error?: unknown) => void,
): AsyncIterable<T> {
  let ended = false;
  const end = (error?: unknown) => {
    if (ended) return;
    ended = true;
    signal.removeEventListener("abort", onAbort);
    done(error);
  };
  const onAbort = () => end(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  return {
    [Symbol.asyncIterator]() {
      const iterator = source[Symbol.asyncIterator]();
      return {
        async next() {
          try {
            const result = await iterator.next();
            if (result.done === true) end();
            return result;
          } catch (error) {
            end(error);
            throw error;
          }
        },
      };
    },
  };
}
