// When calls must be over: a timing wheel of levels, into which calls link themselves. One timer of the clock, armed for the next entry
// that is due; none while nothing waits. Knows no calls and no errors.
//
// Sixteen slots a level; a slot of level n is 16^n ms wide, so that eight levels turn with 32 bits. An entry lies in the level of its
// distance, and moves down when its slot begins (Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", 1987, scheme 7).

import { type Clock, maxTimerMs } from "./clock.ts";

/** What has a deadline. Whoever implements it keeps the links and touches none but its own: both undefined while it is in no queue. */
export interface Deadlined {
  /** By the queue's clock; the queue sets it. */
  dueMs: number;
  nextDue: Deadlined | undefined;
  previousDue: Deadlined | undefined;
  /** It is due, and in the queue no more: it may be added again. Must not throw. */
  onDeadline(): void;
}

const slotBits = 4;
const slotCount = 1 << slotBits;
const slotMask = slotCount - 1;
const levelCount = 32 / slotBits;

/**
 * How far the wheel may lag behind the clock, and how long its timer waits at most. With the longest timeout, 2^31 ms, it stays
 * below 2^32 ms: a slot never holds entries of two turns.
 */
const maxLagMs = 2 ** 30;

/** A ring of entries that begins and ends here. */
class Slot implements Deadlined {
  dueMs = 0;
  nextDue: Deadlined = this;
  previousDue: Deadlined = this;
  onDeadline(): void {}
}

/**
 * Entries in the order of their deadlines. `add` and `remove` take the same short time however many there are, and allocate
 * nothing. An entry is never due early; late by a millisecond or two, and by what the event loop is late.
 */
export class DeadlineQueue {
  readonly #clock: Clock;
  /** Levels are made when first needed. */
  readonly #levels: (readonly Slot[] | undefined)[] = new Array(levelCount).fill(undefined);
  /** A bit for each slot that is not known to be empty: `remove` leaves it set. */
  readonly #occupied: Uint16Array = new Uint16Array(levelCount);
  /** Due, and not told yet. */
  readonly #due: Slot = new Slot();
  #count = 0;
  /** The whole millisecond up to which the wheel has turned: every entry in a slot is due later. */
  #turnedMs = 0;
  /** When the timer fires; Infinity without one. */
  #armedMs: number = Number.POSITIVE_INFINITY;
  #cancelTimer: (() => void) | undefined;
  #firing = false;
  /** Nobody expects further entries: no timer is to outlive the last one. */
  #resting = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `entry.onDeadline()` in `timeoutMs`, at most 2147483647, and not before the next millisecond. An entry that is in already is moved. */
  add(entry: Deadlined, timeoutMs: number): void {
    this.remove(entry);
    const nowMs = this.#clock.now();
    const wholeNowMs = Math.floor(nowMs);
    if (this.#count === 0) this.#turnedMs = wholeNowMs;
    else if (wholeNowMs - this.#turnedMs > maxLagMs) this.#turn(wholeNowMs);
    this.#count++;
    this.#resting = false;
    entry.dueMs = nowMs + (timeoutMs > 0 ? Math.min(timeoutMs, maxTimerMs) : 0);
    const slotMs = this.#place(entry);
    if (slotMs < this.#armedMs && !this.#firing) this.#arm(slotMs, nowMs);
  }

  /** Takes an entry out. Does nothing where it is not in. */
  remove(entry: Deadlined): void {
    const { nextDue, previousDue } = entry;
    if (nextDue === undefined || previousDue === undefined) return;
    previousDue.nextDue = nextDue;
    nextDue.previousDue = previousDue;
    // Calls that are over must not hold on to each other.
    entry.nextDue = undefined;
    entry.previousDue = undefined;
    this.#count--;
    if (this.#count === 0 && this.#resting) this.#disarm();
  }

  /**
   * Lets go of the timer, so that the process can end: at once if nothing waits, else when the last entry is removed, unless one is
   * added before. Call it when a connection or a transport closes.
   */
  rest(): void {
    this.#resting = true;
    if (this.#count === 0) this.#disarm();
  }

  /** Links an entry into the slot of its millisecond, which it returns. */
  #place(entry: Deadlined): number {
    const turnedMs = this.#turnedMs;
    const slotMs = Math.max(Math.ceil(entry.dueMs), turnedMs + 1);
    const level = (31 - Math.clz32(slotMs - turnedMs)) >> 2;
    const index = (slotMs >>> (level * slotBits)) & slotMask;
    const slots = this.#levels[level] ?? this.#addLevel(level);
    const slot = slots[index];
    if (slot !== undefined) append(slot, entry);
    this.#occupied[level] = (this.#occupied[level] ?? 0) | (1 << index);
    return slotMs;
  }

  #addLevel(level: number): readonly Slot[] {
    const slots = Array.from({ length: slotCount }, () => new Slot());
    this.#levels[level] = slots;
    return slots;
  }

  readonly #fire = (): void => {
    this.#armedMs = Number.POSITIVE_INFINITY;
    this.#cancelTimer = undefined;
    this.#firing = true;
    this.#turn(Math.floor(this.#clock.now()));
    try {
      for (let entry = this.#due.nextDue; entry !== this.#due; entry = this.#due.nextDue) {
        this.remove(entry);
        entry.onDeadline();
      }
    } finally {
      this.#firing = false;
      this.#armNext();
    }
  };

  #armNext(): void {
    const nowMs = this.#clock.now();
    // Left over only where an entry threw.
    if (this.#due.nextDue !== this.#due) this.#arm(nowMs, nowMs);
    else if (this.#count > 0) this.#arm(this.#nextSlot(), nowMs);
    else this.#disarm();
  }

  #arm(atMs: number, nowMs: number): void {
    this.#cancelTimer?.();
    const delayMs = Math.min(Math.ceil(atMs - nowMs), maxLagMs);
    this.#armedMs = Math.min(atMs, nowMs + maxLagMs);
    this.#cancelTimer = this.#clock.schedule(delayMs, this.#fire);
  }

  #disarm(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#armedMs = Number.POSITIVE_INFINITY;
  }

  /** Turns the wheel: entries of slots that begin meanwhile move down, and out where they are due. */
  #turn(untilMs: number): void {
    for (let slotMs = this.#nextSlot(); slotMs <= untilMs; slotMs = this.#nextSlot()) {
      this.#turnedMs = slotMs;
      // A slot of every level may begin here: once passed, it would count as a whole turn away.
      for (let level = levelCount - 1; level >= 0; level--) {
        const shift = level * slotBits;
        if ((slotMs & ((1 << shift) - 1)) === 0) this.#empty(level, (slotMs >>> shift) & slotMask);
      }
    }
    this.#turnedMs = Math.max(this.#turnedMs, untilMs);
  }

  #empty(level: number, index: number): void {
    const slot = this.#levels[level]?.[index];
    if (slot === undefined) return;
    this.#occupied[level] = (this.#occupied[level] ?? 0) & ~(1 << index);
    // Each goes to a lower level.
    for (let entry = slot.nextDue; entry !== slot; entry = slot.nextDue) {
      unlink(entry);
      if (entry.dueMs <= this.#turnedMs) append(this.#due, entry);
      else this.#place(entry);
    }
  }

  /** When the next slot that holds entries begins; Infinity where there is none. */
  #nextSlot(): number {
    let nextMs = Number.POSITIVE_INFINITY;
    for (let level = 0; level < levelCount; level++) {
      const slots = this.#levels[level];
      if (slots === undefined) continue;
      const shift = level * slotBits;
      const here = this.#turnedMs >>> shift;
      for (;;) {
        const bits = this.#occupied[level] ?? 0;
        if (bits === 0) break;
        // The slot after the current one becomes bit 0; the current one itself, last, is a whole turn away.
        const ahead = ((bits | (bits << slotCount)) >>> ((here & slotMask) + 1)) & 0xffff;
        const distance = 32 - Math.clz32(ahead & -ahead);
        const index = (here + distance) & slotMask;
        const slot = slots[index];
        if (slot !== undefined && slot.nextDue === slot) {
          this.#occupied[level] = bits & ~(1 << index);
          continue;
        }
        // Modulo 2^32, in which all levels turn.
        const slotMs = this.#turnedMs + ((((here + distance) << shift) - this.#turnedMs) >>> 0);
        if (slotMs < nextMs) nextMs = slotMs;
        break;
      }
    }
    return nextMs;
  }
}

function append(slot: Slot, entry: Deadlined): void {
  const last = slot.previousDue;
  entry.previousDue = last;
  entry.nextDue = slot;
  last.nextDue = entry;
  slot.previousDue = entry;
}

function unlink(entry: Deadlined): void {
  const { nextDue, previousDue } = entry;
  if (previousDue !== undefined) previousDue.nextDue = nextDue;
  if (nextDue !== undefined) nextDue.previousDue = previousDue;
}

const queues = new WeakMap<Clock, DeadlineQueue>();

/** The queue of a clock's deadlines: one, shared by everybody. */
export function deadlineQueueOf(clock: Clock): DeadlineQueue {
  let queue = queues.get(clock);
  if (queue === undefined) {
    queue = new DeadlineQueue(clock);
    queues.set(clock, queue);
  }
  return queue;
}
