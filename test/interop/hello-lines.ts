// Reads what clients of HelloService print, ours and the original's alike: one line a call.

/** What a client printed. */
export interface HelloLines {
  /** Answers by the address that gave them. */
  readonly servers: ReadonlyMap<string, number>;
  /** Different results that were seen. */
  readonly results: ReadonlySet<number>;
  /** Lines that tell of no answer. */
  readonly failures: readonly string[];
}

/** Reads the lines of calls that greeted `name`. */
export function readHelloLines(lines: readonly string[], name: string): HelloLines {
  const servers = new Map<string, number>();
  const results = new Set<number>();
  const failures: string[] = [];
  for (const line of lines) {
    const match = /^client get message: Hello! (.*)!This is Server: (\S+), result: (-?\d+)$/.exec(line);
    if (match === null || match[1] !== name) {
      failures.push(line);
    } else {
      const address = match[2] ?? "";
      servers.set(address, (servers.get(address) ?? 0) + 1);
      results.add(Number(match[3]));
    }
  }
  return { servers, results, failures };
}
