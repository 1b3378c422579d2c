// The way in for calls by Connect's handlers, as their requestGate: before anything of the body is read, and with the words of each protocol.
// Native gRPC on our own HTTP/2 has its own. Decides nothing.

import type { DescMethod } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type CallGate,
  type GatedCall,
  type GateTicket,
  type Refusal,
  refusalError,
} from "../../grpc/server/call-gate.ts";

/** What Connect calls before it reads a request. Rejects with what the client is answered. */
export type RequestGate = (context: HandlerContext) => void | Promise<void>;

/** Creates it. A call counts until it is over, whatever its handler does. */
export function createRequestGate(gateOf: (method: DescMethod) => CallGate | undefined): RequestGate {
  return (context) => {
    const gate = gateOf(context.method);
    if (gate === undefined) return;
    // Whoever set no time at all to answer in.
    context.signal.throwIfAborted();
    const refusal = gate.refusalFor(context.timeoutMs());
    if (refusal !== undefined) throw asError(refusal);
    return new Promise((resolve, reject) => {
      gate.enter(new WaitingCall(context, resolve, reject), 0);
    });
  };
}

/** First `requestGate`, then `own`. */
export function bothGates(requestGate: RequestGate | undefined, own: RequestGate | undefined): RequestGate | undefined {
  if (requestGate === undefined || own === undefined) return requestGate ?? own;
  return async (context) => {
    await requestGate(context);
    await own(context);
  };
}

class WaitingCall implements GatedCall {
  ticket: GateTicket | undefined = undefined;
  readonly beginsLater = true;
  readonly #context: HandlerContext;
  readonly #resolve: () => void;
  readonly #reject: (error: unknown) => void;

  constructor(context: HandlerContext, resolve: () => void, reject: (error: unknown) => void) {
    this.#context = context;
    this.#resolve = resolve;
    this.#reject = reject;
    const { signal } = context;
    // Connect aborts it however the call ends.
    const onOver = (): void => {
      this.ticket?.release();
      reject(signal.reason);
    };
    signal.addEventListener("abort", onOver, { once: true });
  }

  remainingMs(): number | undefined {
    return this.#context.timeoutMs();
  }

  begin(): void {
    this.#resolve();
  }

  refuse(refusal: Refusal): void {
    this.#reject(asError(refusal));
  }

  onDeadline(): void {
    // Connect's own timer says the same, in a moment.
  }
}

function asError({ pushbackMs = 0 }: Refusal): Error {
  return refusalError(pushbackMs);
}
