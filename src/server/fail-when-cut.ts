// An interceptor that answers calls for handlers that do not end in time: when the server cuts, each still gets a status in
// its own protocol. Handlers that obey their signal never notice.

import type { Interceptor, StreamRequest, UnaryRequest } from "@connectrpc/connect";

/**
 * Creates the interceptor: when the signal of a call aborts, with a reason of which `isCut` says true, the call fails with that reason,
 * whatever its handler does. The handler is not waited for; what it answers or throws later is dropped.
 */
export function failWhenCut(
  signalOf: (request: UnaryRequest | StreamRequest) => AbortSignal,
  isCut: (reason: unknown) => boolean = () => true,
): Interceptor {
  return (next) => async (request) => {
    const cut = signalOf(request);
    const call = startRace(cut, isCut);
    try {
      const response = await call.run(next(request));
      if (!response.stream) return response;
      return { ...response, message: untilCut(response.message, startRace(cut, isCut)) };
    } finally {
      call.end();
    }
  };
}

/** Runs promises one after the other against the same signal. */
interface Race {
  /** Settles as the promise does, or rejects with the signal's reason if that is first. One at a time. */
  run<T>(promise: Promise<T>): Promise<T>;
  end(): void;
}

// Not Promise.race: a promise that outlives a long stream would gather a reaction for each of its messages.
function startRace(signal: AbortSignal, isCut: (reason: unknown) => boolean): Race {
  let lose: (reason: unknown) => void = () => {};
  const onAbort = (): void => {
    if (isCut(signal.reason)) lose(signal.reason);
  };
  signal.addEventListener("abort", onAbort);
  return {
    run: (promise) =>
      new Promise((resolve, reject) => {
        lose = reject;
        if (signal.aborted) onAbort();
        promise.then(resolve, reject);
      }),
    end: () => signal.removeEventListener("abort", onAbort),
  };
}

async function* untilCut<T>(messages: AsyncIterable<T>, race: Race): AsyncGenerator<T> {
  const iterator = messages[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { done, value } = await race.run(iterator.next());
      if (done === true) return;
      yield value;
    }
  } finally {
    race.end();
    // Not awaited: a generator that is busy takes it only when it gets there.
    iterator.return?.().catch(() => {});
  }
}
