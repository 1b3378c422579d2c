// Closes after each test what it left open, as one that fails does: its file would never end on Node. Call it once in a file.

import { afterEach } from "node:test";

/** What is closed; closing it twice does nothing. */
interface Closable {
  close(): Promise<void>;
}

/** Notes what is to be closed. */
export interface Keeper {
  /** Returns it. */
  keep<T extends Closable>(thing: T): T;
  /** The same function, for what it starts. */
  keeping<A extends unknown[], T extends Closable>(start: (...args: A) => Promise<T>): (...args: A) => Promise<T>;
}

export function closeWhatIsLeft(): Keeper {
  const kept: Closable[] = [];
  // The newest first: connections before those that they lead to.
  afterEach(async () => {
    for (const thing of kept.splice(0).reverse()) await thing.close();
  });
  const keep = <T extends Closable>(thing: T): T => {
    kept.push(thing);
    return thing;
  };
  return {
    keep,
    keeping:
      (start) =>
      async (...args) =>
        keep(await start(...args)),
  };
}
