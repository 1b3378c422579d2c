// What calls wait for, and what they fail with where they wait no longer, in words. Decides nothing.

import { Code, ConnectError } from "@connectrpc/connect";
import { markUnprocessed } from "../../core/call-fate.ts";
import { describeError } from "../describe-error.ts";
import type { PoolState } from "../pool/pool-state.ts";

/** `resolver` is its description; `refusal` is why the call was not taken where it was. */
export function describeWait(state: PoolState, resolver: string, refusal?: unknown): string {
  switch (state.type) {
    case "unresolved":
      return `waiting for the first answer about ${resolver}${because(state.error)}`;
    case "failing":
      return `waiting for a connection to ${instances(state.count)} of ${resolver}${because(state.error)}`;
    case "empty":
      return `waiting for an instance: ${listsNone(state, resolver)}`;
    case "ready":
      return `waiting for an instance of ${resolver} that takes the call${because(refusal)}`;
    case "connecting":
    case "closed":
      return `waiting for a connection to ${resolver}`;
    default:
      return state satisfies never;
  }
}

/** What a call fails with that waits no longer, or does not wait at all; its fate is `unprocessed`. */
export function explainUnready(state: PoolState, resolver: string, refusal?: ConnectError): ConnectError {
  switch (state.type) {
    case "unresolved":
    case "connecting":
      return unavailable(`gave up ${describeWait(state, resolver)}`, undefined);
    case "failing": {
      const text = `cannot connect to ${instances(state.count)} of ${resolver}: ${describeError(state.error)}`;
      return unavailable(text, state.error);
    }
    case "empty":
      return unavailable(`no instance to call: ${listsNone(state, resolver)}`, state.error);
    case "ready":
      return refusal ?? unavailable("the balancer picked no endpoint", undefined);
    case "closed":
      return markUnprocessed(new ConnectError("the transport is closed", Code.Canceled));
    default:
      return state satisfies never;
  }
}

function unavailable(text: string, cause: unknown): ConnectError {
  return markUnprocessed(new ConnectError(text, Code.Unavailable, undefined, undefined, cause));
}

function instances(count: number): string {
  return count === 1 ? "the one instance" : `any of the ${count} instances`;
}

function listsNone({ why, error }: PoolState & { type: "empty" }, resolver: string): string {
  const perhaps = why === undefined ? "" : `: ${why}`;
  return error === undefined
    ? `${resolver} lists none${perhaps}`
    : `${resolver} listed none${perhaps}, and cannot be asked now: ${describeError(error)}`;
}

function because(error: unknown): string {
  return error === undefined ? "" : `: ${describeError(error)}`;
}
