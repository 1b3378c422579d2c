// What the tests' page has at hand: tests write their steps as functions that run in the page, and these find lictor/edge there,
// from its source, as `kit`. Has no steps of its own.

import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createEdgeTransport, createHelloClient, type EdgeTransportOptions } from "../../src/edge.ts";
import { EchoService, UnaryRequestSchema } from "../gen/lictor/test/v1/echo_pb.ts";

/** What calls are written in. */
export type PageFormat = Pick<EdgeTransportOptions, "protocol" | "useBinaryFormat">;

/** An error as data that leaves the page. */
export interface PageFailure {
  /** `Unavailable` and so on. */
  readonly code: string;
  readonly message: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** Texts of the UnaryRequests among its details. */
  readonly details: readonly string[];
}

/** What is at hand in the page. */
export interface PageKit {
  readonly Code: typeof Code;
  readonly createHelloClient: typeof createHelloClient;
  /** A client of EchoService. */
  echo(options: EdgeTransportOptions): Client<typeof EchoService>;
  /** What a call failed with. Rejects where the call succeeds. */
  failure(call: Promise<unknown>): Promise<PageFailure>;
  /** For the test to abort while the page waits. */
  readonly controller: AbortController;
}

const pageKit: PageKit = {
  Code,
  createHelloClient,
  echo: (options) => createClient(EchoService, createEdgeTransport(options)),
  async failure(call) {
    try {
      await call;
    } catch (cause) {
      const error = ConnectError.from(cause);
      return {
        code: Code[error.code] ?? "",
        message: error.rawMessage,
        metadata: Object.fromEntries(error.metadata),
        details: error.findDetails(UnaryRequestSchema).map(({ text }) => text),
      };
    }
    throw new Error("the call succeeded");
  },
  controller: new AbortController(),
};

declare global {
  /** In the page only. */
  var kit: PageKit;
}

globalThis.kit = pageKit;
