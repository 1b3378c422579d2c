// The Worker's side of grpc-session-object.ts: Connect's Transport over a stub. Keeps nothing from one call to the next.

import type { Interceptor, Transport } from "@connectrpc/connect";
import { runStreamingCall, runUnaryCall } from "@connectrpc/connect/protocol";
import { systemClock } from "../../../core/clock.ts";
import { encodeMessage } from "../../../grpc/client/encode-message.ts";
import { wholeBytes } from "../../../grpc/outgoing-message.ts";
import { checkDefaultTimeout } from "../../../transport/call/call-bounds.ts";
import { openedOnce } from "../../../transport/call/streams.ts";
import { prepareCall } from "../../prepare-call.ts";
import { askObject, readMessage, readMessages, type SessionObjectStub } from "./ask-object.ts";
import { endOfMessages, writeFrames } from "./wire.ts";

/** How calls are made. */
export interface SessionObjectTransportOptions {
  /** Around every call, outermost first. */
  readonly interceptors?: readonly Interceptor[];
  /** Deadline in milliseconds of calls that name none, at most 2147483647. Default: no deadline. */
  readonly defaultTimeoutMs?: number;
  /** Largest message taken, in bytes. Larger ones fail with `resource_exhausted`. Default 4 MiB, as in gRPC; the object has a limit of its own. */
  readonly maxReceiveBytes?: number;
}

const maxSendBytes = 0xffff_ffff;

/**
 * Creates a transport over a stub of the class that `grpcSessionObject` makes: all kinds of calls, on connections that the object keeps.
 * A stub belongs to the request it was made in, and so does the transport. Headers, deadlines, aborts and errors with their details pass
 * through. Nothing needs closing: a stream that is left by `break` ends with the request, or when its signal aborts. Throws RangeError
 * on bad options.
 */
export function createSessionObjectTransport(
  stub: SessionObjectStub,
  options: SessionObjectTransportOptions = {},
): Transport {
  const { interceptors = [], defaultTimeoutMs, maxReceiveBytes = 4 * 1024 * 1024 } = options;
  checkDefaultTimeout(defaultTimeoutMs);
  if (!(Number.isInteger(maxReceiveBytes) && maxReceiveBytes > 0 && maxReceiveBytes <= 0xffff_ffff)) {
    throw new RangeError(
      `Cannot create transport as "maxReceiveBytes" must be an integer from 1 to 4294967295: received ${maxReceiveBytes}`,
    );
  }
  const defaults = { interceptors, defaultTimeoutMs, clock: systemClock };
  return {
    async unary(method, signal, timeoutMs, header, message, contextValues) {
      const call = prepareCall({ method, signal, timeoutMs, header, contextValues }, defaults);
      return runUnaryCall({
        ...call.run,
        req: { ...call.request, stream: false, method, message },
        async next(request) {
          const bytes = wholeBytes(encodeMessage(method.input, request.message, maxSendBytes));
          const messages = [writeFrames({ bytes, isLast: false }, endOfMessages)].values();
          const answer = await askObject(stub, "unary", method, call.deadline, request, async () => messages.next());
          const { message: answered, trailer } = await readMessage(method.output, answer, maxReceiveBytes);
          const { header } = answer;
          return { stream: false, service: method.parent, method, header, message: answered, trailer };
        },
      });
    },
    async stream(method, signal, timeoutMs, header, input, contextValues) {
      const call = prepareCall({ method, signal, timeoutMs, header, contextValues }, defaults);
      return runStreamingCall({
        ...call.run,
        req: { ...call.request, stream: true, method, message: openedOnce(input) },
        async next(request) {
          const iterator = request.message[Symbol.asyncIterator]();
          let hasEnded = false;
          const answer = await askObject(stub, "stream", method, call.deadline, request, async () => {
            if (hasEnded) return { done: true, value: undefined };
            const { done, value } = await iterator.next();
            hasEnded = done === true;
            const frame = hasEnded
              ? endOfMessages
              : { bytes: wholeBytes(encodeMessage(method.input, value, maxSendBytes)), isLast: false };
            return { value: writeFrames(frame) };
          });
          const trailer = new Headers();
          const message = readMessages(method.output, answer, trailer, maxReceiveBytes);
          return { ...request, stream: true, header: answer.header, trailer, message };
        },
      });
    },
  };
}
