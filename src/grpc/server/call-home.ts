// The CallHome contract: what a call needs of the connection it came by. GrpcSession is one.

import type { ContextValues } from "@connectrpc/connect";
import type { Clock } from "../../core/clock.ts";
import type { DeadlineQueue } from "../../core/deadline-queue.ts";
import type { Logger } from "../../core/logger.ts";
import type { Http2Connection } from "../../http2/connection.ts";
import type { PreparedFields } from "../../http2/stream.ts";
import type { PartialBytes } from "../message-reader.ts";
import type { CallTracker } from "./call-tracker.ts";
import type { RoomQueue } from "./room-queue.ts";
import type { Turns } from "./turns.ts";

/** Where calls live. */
export interface CallHome {
  readonly connection: Http2Connection;
  /** Why the connection ended; undefined where it has not, or the client just closed it. */
  readonly whyOver: () => unknown;
  /** Told of every call. */
  readonly calls: CallTracker;
  readonly deadlines: DeadlineQueue;
  /** What its calls hold of requests that are not whole yet. */
  readonly partial: PartialBytes;
  /** Where compressed messages wait to be unpacked. */
  readonly unpacking: Turns;
  /** Where answers wait for room. */
  readonly room: RoomQueue;
  /** Makes the values that a call begins with. */
  readonly newValues: () => ContextValues;
  /** Of the URLs that handlers see. */
  readonly scheme: "http" | "https";
  readonly clock: Clock;
  /** Told of handlers that fail unexpectedly. */
  readonly logger: Logger;
  /** Trailers of a call that went well, and the beginning of others. */
  readonly okTrailers: PreparedFields;
  readonly noFields: PreparedFields;
  /** Runs a function after what else the event loop has to do: `setImmediate`, or a timer where there is none. */
  readonly yieldToLoop: (run: () => void) => void;
}
