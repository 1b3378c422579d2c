// Asks the user whether a call may be served, before anything of its message is looked at. Knows no policy of its own.

import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { Code, ConnectError, type ContextValues, type HandlerContext } from "@connectrpc/connect";
import type { Logger } from "../core/logger.ts";
import { callPeer, type Peer } from "./peer.ts";

/** A call that asks to be served. */
export interface AuthorizeCall {
  /** `service.typeName` is its full name. */
  readonly service: DescService;
  /** `method.name`, and the options that its proto file gave it. */
  readonly method: DescMethod;
  /** Who asks, by its connection. */
  readonly peer: Peer;
  /** What the caller sent before its message: tokens are here. */
  readonly header: Headers;
  /** Those that the handler gets: what was found out of the caller can be left there for it. */
  readonly values: ContextValues;
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

/**
 * Says whether a call may be served: `true` and nothing else lets it. Any other answer refuses it, with `permission_denied`, or with
 * `unauthenticated` where the server asks for certificates and the caller has shown none. A ConnectError that it throws is what the caller gets;
 * anything else it throws goes to the logger, and the caller gets `internal`.
 */
export type Authorize = (call: AuthorizeCall) => boolean | Promise<boolean>;

/** What is asked, and what the answer depends on beside it. */
export interface AuthorizeGateOptions {
  readonly authorize: Authorize;
  /** Whether clients are asked for certificates. */
  readonly asksForCertificates: boolean;
  readonly logger: Logger;
}

/** Connect's `requestGate` that asks. It rejects with ConnectError only. */
export type AuthorizeGate = (context: HandlerContext) => Promise<void>;

/** Creates the gate. */
export function createAuthorizeGate({ authorize, asksForCertificates, logger }: AuthorizeGateOptions): AuthorizeGate {
  return async (context) => {
    // Every connection of ours has one. What came in another way came from nobody that is known.
    const peer = context.values.get(callPeer) ?? { address: "", identity: undefined };
    let isAllowed: unknown;
    try {
      isAllowed = await authorize(toCall(context, peer));
    } catch (error) {
      if (error instanceof ConnectError) throw error;
      const { service, method } = context;
      logger.error("Authorization failed", { service: service.typeName, method: method.name, error });
      throw new ConnectError("internal error", Code.Internal, undefined, undefined, error);
    }
    if (isAllowed === true) return;
    const isUnknown = asksForCertificates && peer.identity === undefined;
    throw isUnknown
      ? new ConnectError("the call needs a client certificate", Code.Unauthenticated)
      : new ConnectError("the caller may not make this call", Code.PermissionDenied);
  };
}

/** What is costly to make is made when it is looked at. */
function toCall(context: HandlerContext, peer: Peer): AuthorizeCall {
  return {
    service: context.service,
    method: context.method,
    peer,
    get header() {
      return context.requestHeader;
    },
    values: context.values,
    get signal() {
      return context.signal;
    },
  };
}
