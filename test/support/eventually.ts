// Waits for what happens by itself on real sockets and in other processes, where no clock can be turned by hand.

/** Resolves when `condition` holds; rejects with what it last threw, or with what was hoped for, after `withinMs`. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  withinMs = 10_000,
  what: string = condition.toString(),
): Promise<void> {
  const deadlineMs = performance.now() + withinMs;
  for (;;) {
    let failure: unknown;
    try {
      if (await condition()) return;
    } catch (error) {
      failure = error;
    }
    if (performance.now() >= deadlineMs) throw failure ?? new Error(`not within ${withinMs} ms: ${what}`);
    await pause(10);
  }
}

/** As `until`, with a name for what is waited for. */
export function eventually(what: string, check: () => boolean | Promise<boolean>, withinMs?: number): Promise<void> {
  return until(check, withinMs, what);
}

/** Lets time pass. Only where the passing of real time is what is tested. */
export function pause(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}
