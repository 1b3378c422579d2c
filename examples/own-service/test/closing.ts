// Closes what a test has opened. Not by `t.after`: Deno 2.9 does not run it in a test that stands in `describe`.

import { afterEach } from "node:test";

/** To be called in a `describe`. Returns a function that is given how to close something; the last opened is closed first. */
export function closeAfterEach(): (close: () => unknown) => void {
  const closers: (() => unknown)[] = [];
  afterEach(async () => {
    const errors: unknown[] = [];
    for (const close of closers.splice(0).reverse()) {
      try {
        await close();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  });
  return (close) => void closers.push(close);
}
