// Streams by id, without a Map: inserting and deleting a million times a minute would rehash one over and over.

/** What the table needs to know of what it holds. */
interface HasId {
  readonly id: number;
}

/** A ring of twice the slots: none shares a slot that did not before. */
export function growRing<T extends HasId>(old: readonly (T | undefined)[]): (T | undefined)[] {
  const ring: (T | undefined)[] = new Array(old.length * 2).fill(undefined);
  for (const item of old) if (item !== undefined) ring[(item.id >>> 1) & (ring.length - 1)] = item;
  return ring;
}

const initialSlots = 16;
const maxSlots = 16384;

/**
 * A ring indexed by the id: ids of one side rise by 2, so that a window of recent ones shares no slot. A stream older than a whole turn
 * of the ring moves aside, so that one long call does not make it grow for ever.
 */
export class StreamTable<T extends HasId> {
  #ring: (T | undefined)[] = new Array(initialSlots).fill(undefined);
  readonly #aside: Map<number, T> = new Map();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(id: number): T | undefined {
    const found = this.#ring[(id >>> 1) & (this.#ring.length - 1)];
    if (found !== undefined && found.id === id) return found;
    return this.#aside.size === 0 ? undefined : this.#aside.get(id);
  }

  add(stream: T): void {
    const slot = (stream.id >>> 1) & (this.#ring.length - 1);
    const occupant = this.#ring[slot];
    this.#size++;
    if (occupant === undefined) {
      this.#ring[slot] = stream;
      return;
    }
    if (this.#size > this.#ring.length / 2 && this.#ring.length < maxSlots) {
      this.#ring = growRing(this.#ring);
      this.#size--;
      this.add(stream);
      return;
    }
    this.#aside.set(occupant.id, occupant);
    this.#ring[slot] = stream;
  }

  delete(stream: T): void {
    const slot = (stream.id >>> 1) & (this.#ring.length - 1);
    if (this.#ring[slot] === stream) {
      this.#ring[slot] = undefined;
      this.#size--;
    } else if (this.#aside.delete(stream.id)) {
      this.#size--;
    }
  }

  /** Every stream, by rising id. A copy: what is called for each may change the table. */
  all(): T[] {
    const all = [...this.#aside.values()];
    for (const stream of this.#ring) if (stream !== undefined) all.push(stream);
    return all.sort((a, b) => a.id - b.id);
  }
}
