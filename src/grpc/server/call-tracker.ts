// The requests a server is busy with, so that a drain knows what it waits for, and can cut what outlasts it. Knows nothing of what they are.

import type { ConnectError } from "@connectrpc/connect";

/** A request under way, and its place in the list of all. The tracker writes the links: both undefined while it is in no list. */
export interface TrackedCall {
  nextCall: TrackedCall | undefined;
  previousCall: TrackedCall | undefined;
  /** Ends it now, with `reason` as its status where it can still have one. Must not throw. */
  cut(reason: ConnectError): void;
}

/** Requests under way, from their head to the end of their answer: a linked list of the calls themselves, as a Set would cost each call. */
export class CallTracker {
  readonly #end: ListEnd = new ListEnd();
  #size = 0;
  #waiting: (() => void)[] = [];

  /** How many are under way. */
  get size(): number {
    return this.#size;
  }

  /** A request began. */
  add(call: TrackedCall): void {
    const last = this.#end.previousCall;
    call.previousCall = last;
    call.nextCall = this.#end;
    last.nextCall = call;
    this.#end.previousCall = call;
    this.#size++;
  }

  /** Its answer is over, whatever became of it. Again, or for one that was never added, does nothing. */
  remove(call: TrackedCall): void {
    const { nextCall, previousCall } = call;
    if (nextCall === undefined || previousCall === undefined) return;
    previousCall.nextCall = nextCall;
    nextCall.previousCall = previousCall;
    call.nextCall = undefined;
    call.previousCall = undefined;
    this.#size--;
    if (this.#size > 0 || this.#waiting.length === 0) return;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** As `add`, for a request that ends by itself; call the returned function when its answer is over. */
  begin(): () => void {
    const call: TrackedCall = { nextCall: undefined, previousCall: undefined, cut() {} };
    this.add(call);
    return () => this.remove(call);
  }

  /** All under way, in the order in which they began. */
  all(): TrackedCall[] {
    const all: TrackedCall[] = [];
    for (let call = this.#end.nextCall; call !== this.#end; call = call.nextCall ?? this.#end) all.push(call);
    return all;
  }

  /** Cuts all. Those that end by themselves stay. */
  cut(reason: ConnectError): void {
    for (const call of this.all()) call.cut(reason);
  }

  /** Resolves as soon as no request is under way: at once, where none is. Later requests do not matter. */
  idle(): Promise<void> {
    if (this.#size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }
}

/** Where the list begins and ends. */
class ListEnd implements TrackedCall {
  nextCall: TrackedCall = this;
  previousCall: TrackedCall = this;
  cut(): void {}
}
