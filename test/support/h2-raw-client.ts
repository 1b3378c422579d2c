// A client without manners: writes bytes as a test says to an echo server's session in memory, and hears its frames.

import { createManualClock, type ManualClock } from "../../src/testing/manual-clock.ts";
import { type EchoSession, type H2Options, serveEchoOn } from "./h2-echo.ts";
import { FrameLog } from "./h2-wire.ts";
import { createSocketPair, type MemorySocket } from "./memory-socket.ts";

export interface RawClient {
  readonly server: EchoSession;
  readonly clock: ManualClock;
  /** The client's end, and the server's. */
  readonly socket: MemorySocket;
  readonly serverSocket: MemorySocket;
  readonly log: FrameLog;
  /** Writes, and resolves when the server has read it and what it wrote has come back. */
  send(...parts: readonly Uint8Array[]): Promise<void>;
}

/** Connects to a server of its own, and sends nothing. */
export function createRawClient(options: H2Options = {}): RawClient {
  const clock = createManualClock();
  const [socket, serverSocket] = createSocketPair();
  const log = new FrameLog();
  socket.start({ onBytes: (bytes) => log.add(bytes), onWritable() {}, onClosed() {} });
  const server = serveEchoOn(serverSocket, { clock, ...options });
  return {
    server,
    clock,
    socket,
    serverSocket,
    log,
    async send(...parts) {
      socket.write(parts);
      await clock.advance(0);
    },
  };
}
