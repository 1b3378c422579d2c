// Answers that wait until the client has taken more of those before them. They are made only when there is room: so what a client asks for
// and does not take is held once, by its handler, and an honest one may ask for as much as it likes.

import { defaultLimits, type Http2Connection } from "../../http2/connection.ts";

/** Answers that are being compressed wait as well. */
const maxHeldBytes: number = defaultLimits.maxPendingBytes;

/** One connection's. */
export class RoomQueue {
  readonly #connection: Http2Connection;
  readonly #waiting: (() => void)[] = [];
  #heldBytes = 0;

  constructor(connection: Http2Connection) {
    this.#connection = connection;
  }

  /** Calls `send` when there is room for what it sends, which may be now, in turn; never where the connection ends before. It must not throw. */
  enter(send: () => void): void {
    if (this.isOpen) send();
    else this.#waiting.push(send);
  }

  /** Resolves when there may be room: others were told too, and may have filled it. */
  change(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  /** Whether `enter` would call now. */
  get isOpen(): boolean {
    return this.#waiting.length === 0 && this.#hasRoom;
  }

  get #hasRoom(): boolean {
    return this.#heldBytes <= maxHeldBytes && this.#connection.hasRoom();
  }

  /** Counts bytes that are made ready to be sent, until they are: settles as `ready` does. */
  async hold<T>(bytes: number, ready: Promise<T>): Promise<T> {
    this.#heldBytes += bytes;
    try {
      return await ready;
    } finally {
      this.#heldBytes -= bytes;
      this.onRoom();
    }
  }

  /** The connection says that there is room: see `Http2Host.onRoom`. */
  onRoom(): void {
    while (this.#waiting.length > 0 && this.#hasRoom) this.#waiting.shift()?.();
  }
}
