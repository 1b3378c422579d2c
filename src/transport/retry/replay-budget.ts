// How many bytes the calls of a transport may keep for their retries in all: gRFC A6, "Memory Management (Buffering)". Keeps none itself.

/** The most that all calls of a transport keep, as in grpc-java and grpc-js. */
export const defaultReplayTotalBytes: number = 16 * 1024 * 1024;

/** Bytes that may still be kept. */
export class ReplayBudget {
  #leftBytes: number;

  constructor(totalBytes: number = defaultReplayTotalBytes) {
    this.#leftBytes = totalBytes;
  }

  /** Whether nothing is overdrawn after the bytes were taken; they are to be given back whatever it says. */
  take(bytes: number): boolean {
    this.#leftBytes -= bytes;
    return this.#leftBytes >= 0;
  }

  give(bytes: number): void {
    this.#leftBytes += bytes;
  }

  get leftBytes(): number {
    return this.#leftBytes;
  }
}
