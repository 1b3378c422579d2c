// Bytes that came and wait to be read, in as few pieces as may be. Knows nothing of what they are.

/** Room behind bytes that have to wait, so that a peer cannot make many small pieces of them. */
const minPieceBytes = 1024;

/** A run of bytes: `bytes` between `from` and `to`. */
export interface Piece {
  readonly bytes: Uint8Array<ArrayBuffer>;
  from: number;
  to: number;
}

/** First in, first out. Holds little more memory than it has bytes, however they came. */
export class ByteQueue {
  readonly #pieces: Piece[] = [];
  length = 0;

  /** Appends a copy of `bytes` from `from` to `to`. */
  append(bytes: Uint8Array, from: number, to: number): void {
    this.length += to - from;
    const last = this.#pieces.at(-1);
    let at = from;
    if (last !== undefined) {
      const fits = Math.min(to - from, last.bytes.length - last.to);
      last.bytes.set(bytes.subarray(from, from + fits), last.to);
      last.to += fits;
      at += fits;
    }
    if (at === to) return;
    const piece = new Uint8Array(Math.max(to - at, minPieceBytes));
    piece.set(bytes.subarray(at, to));
    this.#pieces.push({ bytes: piece, from: 0, to: to - at });
  }

  /** The oldest piece, at least one byte long; undefined where there is none. `skip` says how much of it is read. */
  get first(): Piece | undefined {
    return this.#pieces[0];
  }

  /** The first `bytes` bytes, at most those of the oldest piece, are read. */
  skip(bytes: number): void {
    const piece = this.#pieces[0];
    if (piece === undefined) return;
    this.length -= bytes;
    piece.from += bytes;
    if (piece.from === piece.to) this.#pieces.shift();
  }

  /** Takes the oldest piece out. */
  shift(): Uint8Array<ArrayBuffer> | undefined {
    const piece = this.#pieces.shift();
    if (piece === undefined) return undefined;
    this.length -= piece.to - piece.from;
    return piece.bytes.subarray(piece.from, piece.to);
  }

  clear(): void {
    this.#pieces.length = 0;
    this.length = 0;
  }
}
