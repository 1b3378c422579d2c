// Sockets as Workers have them, for where there are none: one in memory that a test plays the peer of, and connect() over node:net.

import { connect as connectNet } from "node:net";
import type { ConnectFunction, WorkerSocket } from "../../src/edge/tcp/worker-socket.ts";

/** A socket in memory, and what its peer sees and does. */
export interface FakeWorkerSocket extends WorkerSocket {
  /** What was written, a piece for each write. */
  readonly written: readonly string[];
  /** Whether the writing side was closed, cut, or neither. */
  readonly sent: "open" | "ended" | "cut";
  /** Whether `close()` was called. */
  readonly isClosed: boolean;
  /** Lets writes wait until it is called again with false. */
  stall(yes: boolean): void;
  /** The peer sends, ends, or breaks off. */
  send(text: string): void;
  endSending(): void;
  fail(error: Error): void;
}

/** Creates one, connected. */
export function createFakeWorkerSocket(): FakeWorkerSocket {
  const written: string[] = [];
  let sent: FakeWorkerSocket["sent"] = "open";
  let isClosed = false;
  let gate = Promise.withResolvers<void>();
  gate.resolve();
  let incoming: ReadableByteStreamController | undefined;
  const readable = new ReadableStream({
    type: "bytes",
    start(controller) {
      incoming = controller;
    },
  });
  const writable = new WritableStream<Uint8Array>({
    async write(chunk, controller) {
      await Promise.race([
        gate.promise,
        new Promise((_, reject) => controller.signal.addEventListener("abort", reject)),
      ]);
      written.push(new TextDecoder().decode(chunk));
    },
    close() {
      sent = "ended";
    },
    abort() {
      sent = "cut";
    },
  });
  return {
    readable,
    writable,
    written,
    opened: Promise.resolve({}),
    closed: new Promise(() => {}),
    get sent() {
      return sent;
    },
    get isClosed() {
      return isClosed;
    },
    async close() {
      isClosed = true;
    },
    stall(yes) {
      if (yes) gate = Promise.withResolvers();
      else gate.resolve();
    },
    send: (text) => incoming?.enqueue(new TextEncoder().encode(text)),
    endSending() {
      incoming?.close();
      // A read that waits with a buffer of its own is told by this alone.
      incoming?.byobRequest?.respond(0);
    },
    fail: (error) => incoming?.error(error),
  };
}

/** connect() of `cloudflare:sockets` over node:net. TLS it has none. */
export const connectByNode: ConnectFunction = ({ hostname, port }, { secureTransport, allowHalfOpen }) => {
  if (secureTransport !== "off") throw new TypeError("no TLS here");
  const socket = connectNet({ host: hostname.replace(/^\[|\]$/g, ""), port, allowHalfOpen, noDelay: true });
  const opened = Promise.withResolvers<unknown>();
  const closed = Promise.withResolvers<void>();
  socket.once("connect", () => opened.resolve({}));
  const readable = new ReadableStream({
    type: "bytes",
    start(controller) {
      let isOver = false;
      const end = (act: () => void) => {
        if (isOver) return;
        isOver = true;
        act();
      };
      socket.on("data", (bytes: Uint8Array) => {
        if (!isOver) controller.enqueue(new Uint8Array(bytes));
      });
      socket.once("end", () =>
        end(() => {
          controller.close();
          controller.byobRequest?.respond(0);
        }),
      );
      socket.once("error", (error) => {
        opened.reject(error);
        end(() => controller.error(error));
      });
      socket.once("close", () => {
        end(() => controller.error(new Error("Network connection lost.")));
        closed.resolve();
      });
    },
    cancel() {
      socket.destroy();
    },
  });
  const writable = new WritableStream<Uint8Array>({
    write: (chunk) =>
      new Promise((resolve, reject) => socket.write(chunk, (error) => (error ? reject(error) : resolve()))),
    close: () => new Promise((resolve) => socket.end(resolve)),
    abort() {
      socket.destroy();
    },
  });
  return {
    readable,
    writable,
    opened: opened.promise,
    closed: closed.promise,
    async close() {
      socket.end();
      socket.destroySoon();
    },
  };
};
