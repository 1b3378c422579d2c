// Waits for what another process does. For tests only, and only where no clock of ours decides.

/** Resolves when `condition` holds; rejects with what it last threw, or a plain error, after `withinMs`. */
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
    if (performance.now() >= deadlineMs) throw failure ?? new Error(`Not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
