// HPACK's dynamic table: first in, first out, bounded by size. RFC 7541, sections 2.3.2 and 4.

/** What every entry counts beside its texts: RFC 7541, section 4.1. */
const entryOverhead = 32;

/** Size of a field as tables and SETTINGS_MAX_HEADER_LIST_SIZE count it, in bytes. */
export function fieldSize(name: string, value: string): number {
  return name.length + value.length + entryOverhead;
}

/** Entries, the newest first. Each has a serial number that never changes while it stays: 0 for the first one ever, then 1, 2 … */
export class DynamicTable {
  /** Names and values in turn by serial number, in a ring. */
  #ring: (string | undefined)[] = new Array(16);
  /** Serial number of the next entry. */
  #next = 0;
  #count = 0;
  #size = 0;
  #maxSize: number;
  readonly #onEvict: ((name: string, value: string, serial: number) => void) | undefined;

  constructor(maxSize: number, onEvict?: (name: string, value: string, serial: number) => void) {
    this.#maxSize = maxSize;
    this.#onEvict = onEvict;
  }

  get count(): number {
    return this.#count;
  }

  get maxSize(): number {
    return this.#maxSize;
  }

  /** Serial number the next entry gets. */
  get nextSerial(): number {
    return this.#next;
  }

  /** Name of the entry at `index`, 0 for the newest; undefined beyond the last. */
  name(index: number): string | undefined {
    return index < this.#count ? this.#ring[this.#slot(this.#next - 1 - index)] : undefined;
  }

  value(index: number): string | undefined {
    return index < this.#count ? this.#ring[this.#slot(this.#next - 1 - index) + 1] : undefined;
  }

  /** Evicts what is too much; RFC 7541, section 4.3. */
  resize(maxSize: number): void {
    this.#maxSize = maxSize;
    this.#evictDownTo(maxSize);
  }

  /** Adds an entry and evicts from the other end; one larger than the table empties it and is not added (RFC 7541, section 4.4). */
  add(name: string, value: string): boolean {
    const size = fieldSize(name, value);
    this.#evictDownTo(Math.max(this.#maxSize - size, 0));
    if (size > this.#maxSize) return false;
    if ((this.#count + 1) * 2 > this.#ring.length) this.#grow();
    const slot = this.#slot(this.#next);
    this.#ring[slot] = name;
    this.#ring[slot + 1] = value;
    this.#next++;
    this.#count++;
    this.#size += size;
    return true;
  }

  #evictDownTo(size: number): void {
    while (this.#size > size) {
      const serial = this.#next - this.#count;
      const slot = this.#slot(serial);
      const name = this.#ring[slot] ?? "";
      const value = this.#ring[slot + 1] ?? "";
      this.#ring[slot] = undefined;
      this.#ring[slot + 1] = undefined;
      this.#size -= fieldSize(name, value);
      this.#count--;
      this.#onEvict?.(name, value, serial);
    }
  }

  #slot(serial: number): number {
    return (serial * 2) & (this.#ring.length - 1);
  }

  #grow(): void {
    const old = this.#ring;
    const ring: (string | undefined)[] = new Array(old.length * 2);
    for (let serial = this.#next - this.#count; serial < this.#next; serial++) {
      const from = (serial * 2) & (old.length - 1);
      const to = (serial * 2) & (ring.length - 1);
      ring[to] = old[from];
      ring[to + 1] = old[from + 1];
    }
    this.#ring = ring;
  }
}
