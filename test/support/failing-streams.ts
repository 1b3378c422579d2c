// Streams that read one message of their caller's and then fail, as a server's word.

import { type Code, ConnectError } from "@connectrpc/connect";
import { markAnswered } from "../../src/core/call-fate.ts";
import type { ServiceConfigJson } from "../../src/transport/service-config/service-config-json.ts";
import type { FakeConnection } from "./fake-connector.ts";

/** What the streams of some connections meet from now on. */
export interface FailingStreams {
  code: Code;
  /** Streams that came. */
  attempts: number;
}

/** Has every stream on `connections` fail with a code, which may be changed. */
export function failStreams(connections: Iterable<FakeConnection>, code: Code): FailingStreams {
  const failing = { code, attempts: 0 };
  for (const { transport } of connections) {
    transport.stream = async (_method, _signal, _timeoutMs, _header, input) => {
      failing.attempts++;
      await input[Symbol.asyncIterator]().next();
      throw markAnswered(new ConnectError("no", failing.code));
    };
  }
  return failing;
}

/** A service config that retries every method once, where it is `unavailable`. */
export const retryOnce: ServiceConfigJson = {
  methodConfig: [
    {
      name: [{}],
      retryPolicy: {
        maxAttempts: 2,
        initialBackoff: "0.01s",
        maxBackoff: "0.01s",
        backoffMultiplier: 1,
        retryableStatusCodes: ["UNAVAILABLE"],
      },
    },
  ],
};
