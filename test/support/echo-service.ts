// The EchoService of tests, as our own server serves it.

import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import { ConnectError } from "@connectrpc/connect";
import { sleep, systemClock } from "../../src/core/clock.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";

/** What a test wants to see of the calls. */
export interface EchoOptions {
  /** Goes into every answer. */
  readonly server?: string;
  /** Told when a call reached its handler, with the signal and the context that the handler got. */
  readonly onCall?: (method: string, signal: AbortSignal, context: HandlerContext) => void;
}

/** Creates the routes of EchoService. Pauses end with the handler's signal. */
export function createEchoService({
  server = "",
  onCall = () => {},
}: EchoOptions = {}): (router: ConnectRouter) => void {
  const pause = async (delayMs: number, signal: AbortSignal) => {
    if (delayMs > 0) await sleep(delayMs, systemClock, signal);
  };
  const fail = (code: number) => {
    if (code !== 0) throw new ConnectError("asked to fail", code, { "x-echo-error": "yes" });
  };
  return (router) => {
    router.service(EchoService, {
      async unary(request, context) {
        const { signal, requestHeader, responseHeader, responseTrailer } = context;
        onCall("unary", signal, context);
        const echoed = requestHeader.get("x-echo");
        if (echoed !== null) {
          responseHeader.set("x-echo-header", echoed);
          responseTrailer.set("x-echo-trailer", echoed);
        }
        await pause(request.delayMs, signal);
        fail(request.failCode);
        return { text: request.text, payload: request.payload, server };
      },
      async unaryIdempotent(request, context) {
        const { signal } = context;
        onCall("unaryIdempotent", signal, context);
        await pause(request.delayMs, signal);
        fail(request.failCode);
        return { text: request.text, server };
      },
      async *serverStream(request, context) {
        const { signal } = context;
        onCall("serverStream", signal, context);
        for (let index = 0; index < request.count; index++) {
          await pause(request.delayMs, signal);
          yield { text: request.text, index, server };
        }
        fail(request.failCode);
      },
      async clientStream(requests, context) {
        const { signal } = context;
        onCall("clientStream", signal, context);
        const texts: string[] = [];
        for await (const request of requests) texts.push(request.text);
        return { text: texts.join(","), count: texts.length, server };
      },
      async *bidi(requests, context) {
        const { signal } = context;
        onCall("bidi", signal, context);
        let index = 0;
        for await (const request of requests) {
          await pause(request.delayMs, signal);
          fail(request.failCode);
          yield { text: request.text, index: index++, server };
        }
      },
    });
  };
}
