// PINGs of ours and their answers: RFC 9113, section 6.7.

import { putUint32, readUint32 } from "../core/uint32.ts";
import { FrameType } from "./frame.ts";
import type { Sender } from "./sender.ts";

/** Answers come in the order of the questions. */
export class Pings {
  readonly #sender: Sender;
  readonly #waiting: (() => void)[] = [];
  #sent = 0;
  #answered = 0;

  constructor(sender: Sender) {
    this.#sender = sender;
  }

  /** Asks; `onAnswer` is called when the answer comes. */
  send(onAnswer: () => void): void {
    this.#waiting.push(onAnswer);
    const payload = new Uint8Array(8);
    putUint32(payload, 4, this.#sent);
    this.#sent = (this.#sent + 1) >>> 0;
    this.#sender.writeFrame(FrameType.ping, 0, 0, payload);
  }

  /** An answer came, its 8 bytes from `from` on; one that we did not ask for is ignored. */
  onAnswer(bytes: Uint8Array, from: number): void {
    if (this.#waiting.length === 0 || readUint32(bytes, from + 4) !== this.#answered) return;
    this.#answered = (this.#answered + 1) >>> 0;
    this.#waiting.shift()?.();
  }
}
