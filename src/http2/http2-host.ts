// The Http2Host contract: who a connection tells what concerns it as a whole. Streams have listeners of their own: stream.ts.

import type { HeaderBlock } from "./hpack/header-decoder.ts";
import type { Stream, StreamListener } from "./stream.ts";

/** Told what concerns the connection as a whole. Called while it reads or writes; must not throw. */
export interface Http2Host {
  /** There is something to flush. Not called while `receive` runs: then once at its end. */
  onOutput(): void;
  /** A peer opened a stream (servers only). Where `block.tooLarge` its fields are lost. Returns who is told of the rest. */
  onStream(stream: Stream, block: HeaderBlock, end: boolean): StreamListener;
  /** The peer's settings came, the first time or again. */
  onSettings(): void;
  /** The peer takes no more streams; those above `lastStreamId` were reset as unprocessed. `debugText` is what it said beside the code. */
  onGoaway(lastStreamId: number, code: number, debugText: string): void;
  /** The peer sent a PING; it is answered already. */
  onPing?(): void;
  /** The connection is over, by an offence of the peer's: flush, then close the socket. All streams are reset after this call. */
  onError(code: number, reason: string): void;
  /** The last stream has ended. */
  onIdle(): void;
  /** After a time when none could, a stream may be opened (clients only). */
  onSlot(): void;
  /** After `hasRoom` said no: there is room for data again. */
  onRoom?(): void;
}
