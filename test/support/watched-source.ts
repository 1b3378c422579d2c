// Messages of a caller without end, and word of what becomes of who gives them.

import { sleep, systemClock } from "../../src/core/clock.ts";

/** The source of a stream's messages. */
export interface WatchedSource<T> {
  readonly messages: AsyncIterable<T>;
  /** The iterator that was read was told, by `return()` or `throw()`, that no more is wanted. */
  readonly wasEnded: boolean;
  /** How many messages were asked for. */
  readonly asked: number;
}

/** One message every few milliseconds, out of a generator. */
export function watchGenerator<T>(message: T): WatchedSource<T> {
  const source = { asked: 0, wasEnded: false, messages: generate() };
  async function* generate(): AsyncGenerator<T> {
    try {
      for (;;) {
        source.asked++;
        yield message;
        await sleep(5, systemClock);
      }
    } finally {
      source.wasEnded = true;
    }
  }
  return source;
}

/** The same out of an iterable that makes a new iterator each time: to end another one than was read is of no use. */
export function watchIterable<T>(message: T): WatchedSource<T> {
  const source = {
    asked: 0,
    wasEnded: false,
    messages: {
      [Symbol.asyncIterator](): AsyncIterator<T> {
        let hasBegun = false;
        return {
          async next() {
            hasBegun = true;
            source.asked++;
            await sleep(5, systemClock);
            return { done: false, value: message };
          },
          async return() {
            source.wasEnded ||= hasBegun;
            return { done: true, value: undefined };
          },
        };
      },
    },
  };
  return source;
}
