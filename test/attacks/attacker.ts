// Sends an attack over a socket as fast as the server takes it, until the server ends it.

import { once } from "node:events";
import * as net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { H2Attack } from "../support/h2-attacks.ts";
import { FrameLog, frame, preface } from "../support/h2-wire.ts";

/** How an attack ended. */
export interface AttackEnd {
  /** From its first byte to the server's GOAWAY, or to the end of the socket without one; Infinity where it never came. */
  readonly endedMs: number;
  /** Code of the last GOAWAY; undefined where none was read. */
  readonly code: number | undefined;
  readonly text: string;
}

/** `reads` false: reads nothing after the first bytes, so that the server's answers pile up. */
export async function runAttack(port: number, attack: H2Attack, mostMs: number, reads = true): Promise<AttackEnd> {
  const socket = net.connect(port, "127.0.0.1");
  await once(socket, "connect");
  const log = new FrameLog();
  let endedAtMs: number | undefined;
  const end = () => {
    endedAtMs ??= performance.now();
  };
  socket.on("error", end).on("close", end).on("end", end);
  socket.on("data", (chunk) => {
    // Nothing else is of interest, and there may be much of it.
    log.add(chunk);
    if (log.goaway !== undefined) end();
    else log.frames.length = 0;
  });
  socket.write(preface());
  socket.write(frame(4, 1, 0));
  for (const part of attack.before ?? []) socket.write(part);
  await sleep(20);
  if (!reads) socket.pause();
  const startedMs = performance.now();
  for (let index = 0; endedAtMs === undefined && performance.now() - startedMs < mostMs; ) {
    if (index >= attack.most * 20) {
      await sleep(20);
      for (const part of attack.step(index++)) socket.write(part);
      continue;
    }
    const parts: Uint8Array[] = [];
    for (let size = 0; size < 60_000; index++) {
      for (const part of attack.step(index)) {
        parts.push(part);
        size += part.length;
      }
    }
    if (!socket.write(Buffer.concat(parts)))
      await Promise.race([once(socket, "drain"), once(socket, "close"), sleep(20)]);
    else await sleep(0);
  }
  // Answers that are on their way.
  for (let count = 0; count < 20 && reads && log.goaway === undefined && !socket.closed; count++) await sleep(10);
  socket.destroy();
  return {
    endedMs: (endedAtMs ?? Number.POSITIVE_INFINITY) - startedMs,
    code: log.goaway?.code,
    text: log.goaway?.text ?? "",
  };
}
