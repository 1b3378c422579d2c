// The caller's messages for one attempt after another, or for several at once: each reads them from the first one. They are kept, encoded, as
// long as another attempt may be made, within bounds: gRFC A6, "Memory Management (Buffering)". Makes no attempts and knows no calls.

import { Code, ConnectError } from "@connectrpc/connect";
import type { ReplayBudget } from "./replay-budget.ts";

/** The most that one call keeps, as in grpc-java and grpc-js. */
export const defaultReplayBytes: number = 1024 * 1024;

/** What a buffer is made with. */
export interface ReplayBufferOptions<T> {
  /** The caller's messages. Iterated once, and not before an attempt asks for one. */
  readonly source: AsyncIterable<T>;
  /** Kept are the bytes, so that what the caller does to a message afterwards changes no attempt. May throw: the call is committed then. */
  readonly encode: (message: T) => Uint8Array;
  readonly decode: (bytes: Uint8Array) => T;
  /** The most bytes that the call keeps; with more it is committed. */
  readonly maxBytes: number;
  /** What all calls of a transport keep. */
  readonly budget: ReplayBudget;
}

/** The messages as one attempt gets them. */
export interface ReplayAttempt<T> {
  /** From the first message on. To be iterated once. */
  readonly iterable: AsyncIterable<T>;
  /** The attempt is over: it will ask for nothing more, and nothing is kept for its sake. Idempotent. */
  abandon(): void;
}

/** A message that was read: its bytes, or itself where it is kept for one attempt alone. */
type Kept<T> = { readonly bytes: Uint8Array } | { readonly message: T };

/** Where the source stands. */
type SourceState = { readonly type: "open" } | { readonly type: "done" } | { readonly type: "failed"; error: unknown };

/**
 * Reads the source once, at the pace of the attempt that has come furthest: it is asked for a message when an attempt is that nobody had yet.
 * Until the call is committed, all that was read is kept. From then on what its attempt has not had yet is handed to it, after that it reads
 * the source itself.
 */
export class ReplayBuffer<T> {
  readonly #options: ReplayBufferOptions<T>;
  #iterator: AsyncIterator<T> | undefined;
  #state: SourceState = { type: "open" };
  /** By their place; undefined where a message is not kept any more. */
  #kept: (Kept<T> | undefined)[] = [];
  #bytes = 0;
  /** Settles, without an error, when the message that the source was asked for is there. */
  #reading: Promise<void> | undefined;
  readonly #attempts = new Set<Attempt<T>>();
  /** The only attempt that goes on. */
  #chosen: Attempt<T> | undefined;
  /** More was read than may be kept, while no attempt was under way: the next one is the last. */
  #isOverfull = false;
  #isEnded = false;

  constructor(options: ReplayBufferOptions<T>) {
    this.#options = options;
  }

  /** Whether another attempt could be made: all that was read is kept, and the source has not failed. */
  mayReplay(): boolean {
    return this.#chosen === undefined && this.#state.type !== "failed" && !this.#isEnded;
  }

  /**
   * Begins an attempt. Throws where none may be made. `onChosen`: the call has been committed to this attempt, as what was sent is too much to
   * keep: others that are under way are of no use any more.
   */
  attempt(onChosen?: () => void): ReplayAttempt<T> {
    if (!this.mayReplay()) throw new Error("Cannot replay messages as they are not kept any more");
    const attempt = new Attempt<T>(this, onChosen);
    this.#attempts.add(attempt);
    if (this.#isOverfull) this.#choose(attempt);
    return attempt;
  }

  /** This attempt goes on, no other is made: what was kept for others is dropped, and reads of theirs reject. Idempotent. */
  commit(attempt: ReplayAttempt<T>): void {
    if (this.#chosen === undefined && attempt instanceof Attempt && this.#attempts.has(attempt)) this.#choose(attempt);
  }

  /** The call is over: drops all that is kept and lets the source clean up, with the error where there is one. Idempotent. */
  end(error?: unknown): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#drop(this.#kept.length);
    this.#attempts.clear();
    try {
      const source = this.#open();
      if (error !== undefined) source.throw?.(error).catch(ignore);
      source.return?.().catch(ignore);
    } catch {
      // The call is over whatever the caller's source makes of it.
    }
  }

  /** The source itself, for the attempt that needs nothing else any more. */
  directly(attempt: Attempt<T>): AsyncIterator<T> | undefined {
    const isAlone = this.#chosen === attempt && attempt.taken >= this.#kept.length && this.#reading === undefined;
    if (!isAlone || this.#state.type !== "open" || this.#isEnded) return undefined;
    this.#kept = [];
    return this.#open();
  }

  /** The message at a place, for an attempt: as it was kept, or from the source. */
  async messageAt(place: number, attempt: Attempt<T>): Promise<IteratorResult<T>> {
    for (;;) {
      if (!this.#attempts.has(attempt)) throw superseded();
      if (place < this.#kept.length) return { done: false, value: this.#hand(place, attempt) };
      if (this.#state.type === "failed") throw this.#state.error;
      if (this.#state.type === "done") return { done: true, value: undefined };
      if (this.#reading !== undefined) {
        await this.#reading;
        continue;
      }
      const read = this.#read();
      this.#reading = read.then(ignore);
      const result = await read;
      // Whoever asked first gets the message itself: decoding is for those who come after.
      if (result !== undefined && this.#attempts.has(attempt)) {
        this.#taken(attempt);
        return result;
      }
    }
  }

  /** The attempt asks for nothing more. */
  leave(attempt: Attempt<T>): void {
    this.#attempts.delete(attempt);
  }

  #open(): AsyncIterator<T> {
    this.#iterator ??= this.#options.source[Symbol.asyncIterator]();
    return this.#iterator;
  }

  /** Reads the next message and keeps it; undefined at the end, and where reading failed. */
  async #read(): Promise<IteratorResult<T> | undefined> {
    try {
      const result = await this.#open().next();
      if (result.done === true) this.#state = { type: "done" };
      else if (!this.#isEnded) this.#keep(result.value);
      return result.done === true ? undefined : result;
    } catch (error) {
      this.#state = { type: "failed", error };
      return undefined;
    } finally {
      this.#reading = undefined;
    }
  }

  #keep(message: T): void {
    if (this.#chosen !== undefined) {
      this.#kept.push({ message });
      return;
    }
    const bytes = this.#encode(message);
    if (bytes === undefined) {
      this.#kept.push({ message });
      this.#overflow();
      return;
    }
    this.#kept.push({ bytes });
    this.#bytes += bytes.byteLength;
    const { budget, maxBytes } = this.#options;
    const isAffordable = budget.take(bytes.byteLength);
    if (!isAffordable || this.#bytes > maxBytes) this.#overflow();
  }

  /** Undefined for what cannot be encoded: the attempt that sends it will say why. */
  #encode(message: T): Uint8Array | undefined {
    try {
      return this.#options.encode(message);
    } catch {
      return undefined;
    }
  }

  /** A6: the attempt goes on "on which the maximum number of messages have already been sent". */
  #overflow(): void {
    let furthest: Attempt<T> | undefined;
    for (const attempt of this.#attempts) {
      if (furthest === undefined || attempt.asked > furthest.asked) furthest = attempt;
    }
    if (furthest === undefined) {
      this.#isOverfull = true;
      return;
    }
    this.#choose(furthest);
    furthest.onChosen?.();
  }

  #choose(attempt: Attempt<T>): void {
    this.#chosen = attempt;
    this.#attempts.clear();
    this.#attempts.add(attempt);
    this.#drop(attempt.taken);
  }

  #hand(place: number, attempt: Attempt<T>): T {
    const kept = this.#kept[place];
    if (kept === undefined) throw superseded();
    const message = "bytes" in kept ? this.#options.decode(kept.bytes) : kept.message;
    this.#taken(attempt);
    return message;
  }

  #taken(attempt: Attempt<T>): void {
    attempt.taken++;
    if (this.#chosen === attempt) this.#drop(attempt.taken);
  }

  /** Forgets the messages before a place. */
  #drop(end: number): void {
    for (let place = Math.min(end, this.#kept.length) - 1; place >= 0; place--) {
      const kept = this.#kept[place];
      // What is before it was dropped before.
      if (kept === undefined) return;
      this.#kept[place] = undefined;
      if (!("bytes" in kept)) continue;
      this.#bytes -= kept.bytes.byteLength;
      this.#options.budget.give(kept.bytes.byteLength);
    }
  }
}

class Attempt<T> implements ReplayAttempt<T> {
  /** Messages it has had. */
  taken = 0;
  /** Messages it has asked for. */
  asked = 0;
  readonly iterable: AsyncIterable<T>;
  readonly onChosen: (() => void) | undefined;
  readonly #buffer: ReplayBuffer<T>;
  #source: AsyncIterator<T> | undefined;

  constructor(buffer: ReplayBuffer<T>, onChosen: (() => void) | undefined) {
    this.#buffer = buffer;
    this.onChosen = onChosen;
    const iterator: AsyncIterator<T> = {
      next: () => this.#next(),
      // Connect's pipe() demands it, and tells the source of a failed attempt through it: which would end it for the next one.
      throw: (error: unknown) => Promise.reject(error),
    };
    this.iterable = { [Symbol.asyncIterator]: () => iterator };
  }

  abandon(): void {
    this.#buffer.leave(this);
  }

  #next(): Promise<IteratorResult<T>> {
    if (this.#source !== undefined) return this.#source.next();
    // Not while earlier messages are still on their way.
    if (this.taken === this.asked) this.#source = this.#buffer.directly(this);
    if (this.#source !== undefined) return this.#source.next();
    return this.#buffer.messageAt(this.asked++, this);
  }
}

/** What an attempt reads that goes on no more. Not the end of the messages: a server would take them for whole. */
function superseded(): ConnectError {
  return new ConnectError("another attempt of the call goes on", Code.Canceled);
}

function ignore(): void {}
