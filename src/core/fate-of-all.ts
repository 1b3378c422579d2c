// What became of a call that interceptors may ask for several times, at once or one after the other: what holds of one time does not hold of all.

import type { ConnectError } from "@connectrpc/connect";
import { callFate, markMaybeProcessed } from "./call-fate.ts";
import { copyError } from "./copy-error.ts";

export class FateOfAll {
  /** How often the call was asked for, but for those times that failed unprocessed: above 0, it may have run. */
  #mayHaveRun = 0;

  /** The call is asked for; perhaps not for the first time. */
  asked(): void {
    this.#mayHaveRun++;
  }

  /** One time that it was asked for has failed. */
  failedOnce(error: unknown): void {
    if (callFate(error) === "unprocessed") this.#mayHaveRun--;
  }

  /** What to tell the caller: the error, or one like it where its fate is that of one time only, or of another call that an interceptor made. */
  told(error: ConnectError): ConnectError {
    if (this.#mayHaveRun === 0 || callFate(error) !== "unprocessed") return error;
    // Not written on: it may be another call's.
    return markMaybeProcessed(copyError(error));
  }
}
