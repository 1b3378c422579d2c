// Time as a value: everything in src that waits or measures takes a Clock, so that tests turn it by hand.
// The only file that touches the runtime's timers.

/** The longest that the runtimes' timers can wait, in milliseconds: 24.8 days. Longer ones fire at once. */
export const maxTimerMs = 0x7fff_ffff;

/** A source of time and of one-shot timers. */
export interface Clock {
  /** Milliseconds since an arbitrary origin. Never goes backwards; differences are meaningful, absolute values are not. */
  now(): number;
  /**
   * Runs `callback` once, `delayMs` from now (never synchronously; a negative delay counts as 0).
   * Returns a function that cancels it; calling that late or twice does nothing.
   */
  schedule(delayMs: number, callback: () => void): () => void;
}

/** The runtime's monotonic clock and timers. */
export const systemClock: Clock = {
  now: () => performance.now(),
  schedule(delayMs, callback) {
    // setTimeout fires at once for delays beyond 2^31-1 ms (24.8 days).
    const handle = setTimeout(callback, Math.min(Math.max(delayMs, 0), maxTimerMs));
    return () => clearTimeout(handle);
  },
};

/**
 * Resolves after `delayMs`. Rejects with `signal.reason`, untouched, as soon as the signal aborts; the timer is gone by then.
 */
export function sleep(delayMs: number, clock: Clock, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = () => {
      cancel();
      reject(signal?.reason);
    };
    const cancel = clock.schedule(delayMs, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}
