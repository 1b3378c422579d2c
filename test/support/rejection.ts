// What a call fails with.

import assert from "node:assert/strict";
import { ConnectError } from "@connectrpc/connect";

/** Resolves with the ConnectError that `promise` rejects with; fails the test where it succeeds or rejects with something else. */
export async function rejection(promise: Promise<unknown>): Promise<ConnectError> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof ConnectError, String(error));
    return error;
  }
  assert.fail("the call succeeded");
}
