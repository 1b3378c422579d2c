// A TCP proxy that cuts a connection after so many bytes of one direction: every way for a socket to die under a call.

import * as net from "node:net";
import { listenOnLoopback } from "./loopback.ts";

/** Where a connection is cut. */
export interface Cut {
  /** Counted from the client's first byte, or from the server's. */
  readonly side: "client" | "server";
  /** These pass, and nothing after them. */
  readonly bytes: number;
  /** By a reset rather than by an end. */
  readonly isReset: boolean;
}

/** A running proxy. */
export interface CuttingProxy extends AsyncDisposable {
  readonly url: string;
  /** How the next connection is cut; undefined: not at all. Those after it are not. */
  next: Cut | undefined;
  /** Bytes that passed on the last connection. */
  readonly passed: { readonly client: number; readonly server: number };
}

/** Starts one in front of a port of the loopback. */
export async function startCuttingProxy(port: number): Promise<CuttingProxy> {
  let passed = { client: 0, server: 0 };
  let next: Cut | undefined;
  const listening = await listenOnLoopback(
    net.createServer((near) => {
      const cut = next;
      next = undefined;
      const counted = { client: 0, server: 0 };
      passed = counted;
      const far = net.connect(port, "127.0.0.1");
      const end = () => {
        if (cut?.isReset) near.resetAndDestroy();
        near.destroy();
        // What was passed on must arrive.
        far.end();
      };
      const pass = (side: "client" | "server", from: net.Socket, to: net.Socket) => {
        from.on("data", (bytes) => {
          const left = cut?.side === side ? cut.bytes - counted[side] : bytes.length;
          const part = bytes.subarray(0, left);
          counted[side] += part.length;
          if (cut?.side === side && counted[side] >= cut.bytes) to.write(part, end);
          else to.write(part);
        });
        from.on("error", () => {}).on("close", () => to.end());
      };
      near.setNoDelay(true);
      far.setNoDelay(true);
      if (cut?.bytes === 0) {
        end();
        return;
      }
      pass("client", near, far);
      pass("server", far, near);
    }),
  );
  return {
    url: `http://127.0.0.1:${listening.port}`,
    get next() {
      return next;
    },
    set next(cut) {
      next = cut;
    },
    get passed() {
      return passed;
    },
    [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose](),
  };
}
