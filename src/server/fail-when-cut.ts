// An interceptor that answers calls for handlers that do not end in time: when the server cuts, each still gets a status in
// its own protocol. Handlers that obey their signal never notice.

import type { Interceptor } from "@connectrpc/connect";

/**
 * Creates the interceptor: when `cut` aborts, every call under way fails with its reason, whatever the handler does. The
 * handler is not waited for; what it answers or throws later is dropped.
 */
export function failWhenCut(cut: AbortSignal): Interceptor {
  return (next) => async (request) => {
    const call = startRace(cut);
    try {
      const response = await call.run(next(request));
      if (!response.stream) return response;
      return { ...response, message: untilCut(response.message, startRace(cut)) };
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
function startRace(signal: AbortSignal): Race {
  let lose: (reason: unknown) => void = () => {};
  const onAbort = (): void => lose(signal.reason);
  signal.addEventListener("abort", onAbort);
  return {
    run: (promise) =>
      new Promise((resolve, reject) => {
        lose = reject;
        if (signal.aborted) reject(signal.reason);
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
