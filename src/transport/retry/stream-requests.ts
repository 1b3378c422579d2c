// The caller's messages of a stream, for one attempt after another: what was read is kept until the answer's headers come (gRFC A6, "When Retries
// are Valid"), within bounds. Makes no attempts.

import {
  create,
  type DescMessage,
  type DescMethodStreaming,
  fromBinary,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import type { ReplayBudget } from "./replay-budget.ts";
import { type ReplayAttempt, ReplayBuffer } from "./replay-buffer.ts";

/** A stream's messages as its call sees them. */
export interface StreamRequests<T> {
  /** All of them, from the first on, for the next attempt. Only where `mayRepeat()`, or none was made yet. */
  begin(): AsyncIterable<T>;
  /** The attempt under way has failed. */
  failed(): void;
  /** The attempt under way was answered: there will be no other. */
  answered(): void;
  /** Whether another attempt would get all of them. */
  mayRepeat(): boolean;
  /** The call is over: lets the source clean up, with the error where there is one. Idempotent. */
  end(error?: unknown): void;
  /** The same messages for one of several attempts at once, whose end is not the call's. `onChosen`: the others cannot go on, as not all can be kept. */
  lane(onChosen: () => void): StreamRequests<T>;
}

/** How much is kept. */
export interface ReplayLimits {
  /** The most bytes of one call. */
  readonly maxBytes: number;
  /** What all calls share. */
  readonly budget: ReplayBudget;
}

/** Wraps the caller's messages, which are read when an attempt asks for them, once each. */
export function streamRequests<I extends DescMessage, O extends DescMessage>(
  method: DescMethodStreaming<I, O>,
  source: AsyncIterable<MessageInitShape<I>>,
  limits: ReplayLimits,
): StreamRequests<MessageInitShape<I>> {
  return method.methodKind === "server_streaming"
    ? new OneRequest(source)
    : new ManyRequests(bufferOf(method.input, source, limits));
}

/** A method with one request: it is kept as it is, as that of a unary call. */
class OneRequest<T> implements StreamRequests<T> {
  readonly #source: AsyncIterable<T>;
  #iterator: AsyncIterator<T> | undefined;
  #first: Promise<IteratorResult<T>> | undefined;
  #isBroken = false;
  #isEnded = false;

  constructor(source: AsyncIterable<T>) {
    this.#source = source;
  }

  begin(): AsyncIterable<T> {
    return { [Symbol.asyncIterator]: () => this.#replay() };
  }

  failed(): void {}

  answered(): void {}

  mayRepeat(): boolean {
    return !this.#isBroken;
  }

  end(error?: unknown): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    endSource(() => this.#open(), error);
  }

  lane(): StreamRequests<T> {
    return this;
  }

  #open(): AsyncIterator<T> {
    this.#iterator ??= this.#source[Symbol.asyncIterator]();
    return this.#iterator;
  }

  #read(): Promise<IteratorResult<T>> {
    if (this.#first === undefined) {
      this.#first = this.#open().next();
      this.#first.catch(() => {
        this.#isBroken = true;
      });
    }
    return this.#first;
  }

  #replay(): AsyncIterator<T> {
    let isGiven = false;
    return {
      next: () => {
        // What should not be there is the server's to refuse.
        if (isGiven) return this.#open().next();
        isGiven = true;
        return this.#read();
      },
      // Connect's pipe() demands it, and tells the source of a failed attempt through it.
      throw: (error: unknown) => Promise.reject(error),
    };
  }
}

/** A method with a stream of requests. */
class ManyRequests<T> implements StreamRequests<T> {
  readonly #buffer: ReplayBuffer<T>;
  readonly #onChosen: (() => void) | undefined;
  #attempt: ReplayAttempt<T> | undefined;

  constructor(buffer: ReplayBuffer<T>, onChosen?: () => void) {
    this.#buffer = buffer;
    this.#onChosen = onChosen;
  }

  begin(): AsyncIterable<T> {
    const attempt = this.#buffer.attempt(this.#onChosen);
    this.#attempt = attempt;
    return attempt.iterable;
  }

  failed(): void {
    this.#attempt?.abandon();
  }

  answered(): void {
    if (this.#attempt !== undefined) this.#buffer.commit(this.#attempt);
  }

  mayRepeat(): boolean {
    return this.#buffer.mayReplay();
  }

  end(error?: unknown): void {
    this.#buffer.end(error);
  }

  lane(onChosen: () => void): StreamRequests<T> {
    return new ManyRequests(this.#buffer, onChosen);
  }
}

function bufferOf<I extends DescMessage>(
  desc: I,
  source: AsyncIterable<MessageInitShape<I>>,
  limits: ReplayLimits,
): ReplayBuffer<MessageInitShape<I>> {
  return new ReplayBuffer<MessageInitShape<I>>({
    source,
    encode: (message) => toBinary(desc, create(desc, message)),
    decode: (bytes) => fromBinary(desc, bytes) as MessageInitShape<I>,
    ...limits,
  });
}

function endSource(open: () => AsyncIterator<unknown>, error: unknown): void {
  try {
    const source = open();
    if (error !== undefined) source.throw?.(error).catch(ignore);
    source.return?.().catch(ignore);
  } catch {
    // The call is over whatever the caller's source makes of it.
  }
}

function ignore(): void {}
