// What a connection pool can offer a call.

import type { Picker, PickResult } from "../../balancer/picker.ts";

/**
 * What a call can do now.
 * - `unresolved`: the resolver has not answered yet, or no call was made for long: `start()` goes on. `error` is the resolver's last failure, if any.
 * - `connecting`: endpoints are known, none is ready, and not all attempts have failed.
 * - `ready`: pick. Where there is a `probe`, an endpoint that answered badly is to be tried: a unary call asks it first, with whether it may be
 *   made again should it fail, and goes where that says, once. It says undefined most of the time.
 * - `failing`: every endpoint's last attempt failed. `error` is the newest failure.
 * - `empty`: the resolver knows no endpoint. `why` is why that may not be the whole truth; `error` is why it cannot be asked now.
 */
export type PoolState =
  | { readonly type: "unresolved"; readonly error: unknown }
  | { readonly type: "connecting"; readonly count: number }
  | {
      readonly type: "ready";
      readonly picker: Picker;
      readonly probe: ((mayRepeat: boolean) => PickResult | undefined) | undefined;
    }
  | { readonly type: "failing"; readonly count: number; readonly error: unknown }
  | { readonly type: "empty"; readonly why?: string; readonly error: unknown }
  | { readonly type: "closed" };
