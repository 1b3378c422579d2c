// Waits for what happens by itself on real sockets and in other processes, where no clock can be turned by hand.

/** Asks again and again, with a short pause, until `check` says yes; rejects after `withinMs` (default 10000) with what was hoped for. */
export async function eventually(
  what: string,
  check: () => boolean | Promise<boolean>,
  withinMs = 10_000,
): Promise<void> {
  const untilMs = performance.now() + withinMs;
  while (!(await check())) {
    if (performance.now() > untilMs) throw new Error(`not within ${withinMs} ms: ${what}`);
    await pause(10);
  }
}

/** Lets time pass. Only where the passing of real time is what is tested. */
export function pause(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}
