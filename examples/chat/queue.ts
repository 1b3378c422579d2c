// Carries values from where they happen to one `for await` loop. Knows nothing of chats.

/** Values wait in it until the loop takes them. */
export class Queue<T> implements AsyncIterable<T> {
  readonly #values: T[] = [];
  #ending: { readonly error?: unknown } | undefined;
  #wake: () => void = () => {};

  /** Values that nobody has taken yet. */
  get length(): number {
    return this.#values.length;
  }

  /** Adds a value; after the end it does nothing. */
  push(value: T): void {
    if (this.#ending === undefined) this.#values.push(value);
    this.#wake();
  }

  /** The loop ends when it has taken what is there. */
  end(): void {
    this.#ending ??= {};
    this.#wake();
  }

  /** The loop throws this when it has taken what is there. */
  fail(error: unknown): void {
    this.#ending ??= { error };
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    for (;;) {
      const [value] = this.#values.splice(0, 1);
      if (value !== undefined) {
        yield value;
      } else if (this.#ending === undefined) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      } else {
        if ("error" in this.#ending) throw this.#ending.error;
        return;
      }
    }
  }
}
