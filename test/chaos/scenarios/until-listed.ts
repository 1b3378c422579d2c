// Waits until Consul lists so many passing instances. Asks Consul itself, without any of lictor's client code.

/** Resolves with the milliseconds that it took. Rejects after `withinMs`. */
export async function untilListed(consul: string, service: string, count: number, withinMs: number): Promise<number> {
  const startMs = performance.now();
  let seen = -1;
  while (performance.now() - startMs < withinMs) {
    try {
      const response = await fetch(`${consul}/v1/health/service/${service}?passing`, {
        signal: AbortSignal.timeout(2000),
      });
      const entries = response.ok ? await response.json() : undefined;
      if (Array.isArray(entries)) seen = entries.length;
      if (seen === count) return Math.round(performance.now() - startMs);
    } catch {
      // Not back yet.
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${service}: ${seen} instances listed after ${withinMs} ms, not ${count}`);
}
