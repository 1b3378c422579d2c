// Small pieces for streaming calls: reading messages at most once, handing one to several attempts, and noticing the end.

/** A view of the caller's messages that knows whether any was asked for. */
export interface UnreadMessages<T> {
  readonly iterable: AsyncIterable<T>;
  wasRead(): boolean;
  /** The call is over: lets the source clean up, with the error where there is one. */
  end(error?: unknown): void;
}

/**
 * Hands the caller's messages to one attempt after another, as long as none was asked for. `throw` and `return` are kept from the
 * source: an attempt that failed would end it for the next one. The source hears of the call's end through `end`.
 */
export function unlessRead<T>(source: AsyncIterable<T>): UnreadMessages<T> {
  let read = false;
  let iterator: AsyncIterator<T> | undefined;
  const open = () => {
    iterator ??= source[Symbol.asyncIterator]();
    return iterator;
  };
  return {
    iterable: {
      [Symbol.asyncIterator]: () => ({
        next() {
          read = true;
          return open().next();
        },
        // Connect's pipe() demands it, and tells the source of a failed attempt through it.
        throw: (error: unknown) => Promise.reject(error),
      }),
    },
    wasRead: () => read,
    end(error) {
      try {
        const opened = open();
        if (error !== undefined) opened.throw?.(error).catch(ignore);
        opened.return?.().catch(ignore);
      } catch {
        // The call is over whatever the caller's source makes of it.
      }
    },
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
 * The caller's messages for Connect's `runStreamingCall`, which ends them with the call: it asks for an iterator once more to do so, and for a
 * promise of what that says. Here it is the one that was read, and what the caller's source throws is its own affair.
 */
export function openedOnce<T>(source: AsyncIterable<T>): AsyncIterable<T> {
  let iterator: AsyncIterator<T> | undefined;
  const open = () => {
    iterator ??= source[Symbol.asyncIterator]();
    return iterator;
  };
  const whole: AsyncIterator<T> = {
    next: async () => open().next(),
    async throw(error) {
      const told = await open().throw?.(error);
      if (told === undefined) throw error;
      return told;
    },
    async return() {
      return (await open().return?.()) ?? { done: true, value: undefined };
    },
  };
  return { [Symbol.asyncIterator]: () => whole };
}

/** Who wants to know of a stream's end. */
export interface EndListener {
  /** Without an argument when it was read to its end or left in order, with the error where reading failed. May be called again. */
  end(error?: unknown): void;
}

/**
 * Passes messages through and tells of the end. The promises are the source's own: nothing is added to what a message takes but a look
 * at it.
 */
export function tellOfEnd<T>(source: AsyncIterable<T>, listener: EndListener): AsyncIterable<T> {
  const look = (result: IteratorResult<T>) => {
    if (result.done === true) listener.end();
  };
  const fail = (error: unknown) => listener.end(error);
  return {
    [Symbol.asyncIterator]() {
      const iterator = source[Symbol.asyncIterator]();
      return {
        next() {
          try {
            const result = iterator.next();
            result.then(look, fail);
            return result;
          } catch (error) {
            fail(error);
            return Promise.reject(error);
          }
        },
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
  return tellOfEnd(source, { end });
}

function ignore(): void {}
