// Attacks that are legal HTTP/2: only gRPC's messages are hostile, and so each call fails and the connection goes on. They need more
// windows than frames by hand would keep, so they are sent by the engine's own client.

import { setTimeout as sleep } from "node:timers/promises";
import { deflateRawSync, constants as zlib } from "node:zlib";
import { readStatus } from "../../src/grpc/status.ts";
import type { HeaderBlock } from "../../src/http2/hpack/header-decoder.ts";
import type { StreamListener } from "../../src/http2/stream.ts";
import { connectH2, type H2Client, joinBytes, requestFields } from "../support/h2-echo.ts";
import { uint32 } from "../support/h2-wire.ts";

const mebibyte = 1024 * 1024;

/** Calls that cost the caller little. */
export interface GrpcAttack {
  readonly name: string;
  readonly path: string;
  readonly connections: number;
  /** On each of them, as fast as it takes them. */
  readonly calls: number;
  /** Of the calls, on each connection. Default: all. */
  readonly atATime?: number;
  readonly fields: readonly string[];
  readonly body: Uint8Array;
  readonly end: boolean;
  /** It keeps the server at work, as anybody's large messages do: the caller is answered, but waits more than elsewhere. */
  readonly isWork?: boolean;
  /** The grpc-status that all of them get; undefined: they wait for an answer until they are given up. */
  readonly status: number | undefined;
}

/** All of them, against EchoService. */
export function grpcAttacks(): readonly GrpcAttack[] {
  const unary = { path: "/lictor.test.v1.EchoService/Unary", connections: 1, fields: [] };
  return [
    {
      ...unary,
      name: "1,000 messages that claim 4 GiB",
      calls: 1000,
      body: Uint8Array.of(0, ...uint32(0xffff_ffff)),
      end: false,
      status: 8,
    },
    {
      ...unary,
      name: "100 gzip bombs of 1 MiB, each a thousand times as large",
      calls: 100,
      // A server holds what comes of messages that are not whole, and these are large: on the wire, too.
      atATime: 16,
      fields: ["grpc-encoding", "gzip"],
      body: gzipBomb(mebibyte),
      end: true,
      isWork: true,
      status: 8,
    },
    {
      ...unary,
      name: "10,000 messages of 4 MiB of which one byte comes",
      connections: 10,
      calls: 1000,
      body: Uint8Array.of(0, ...uint32(4 * mebibyte), 1),
      end: false,
      status: undefined,
    },
  ];
}

/** A message of gRPC's that is gzip of so many bytes, all of them of zeros. */
function gzipBomb(bytes: number): Uint8Array {
  const head = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3);
  // Blocks that may be repeated, as none refers to the one before.
  const block = deflateRawSync(new Uint8Array(16 * mebibyte), { finishFlush: zlib.Z_FULL_FLUSH });
  const packed = joinBytes([head, ...Array.from({ length: Math.floor(bytes / block.length) }, () => block)]);
  return joinBytes([Uint8Array.of(1), uint32(packed.length), packed]);
}

/** Makes all the calls; resolves when each has its answer, or is open where none is expected, with how often each status came. */
export async function startGrpcAttack(port: number, attack: GrpcAttack): Promise<GrpcAttackUnderWay> {
  const clients = await Promise.all(Array.from({ length: attack.connections }, () => connectH2(port)));
  const statuses = new Map<string, number>();
  const count = (status: string) => statuses.set(status, (statuses.get(status) ?? 0) + 1);
  await Promise.all(clients.map((client) => makeCalls(client, attack, count)));
  return {
    statuses,
    async [Symbol.asyncDispose]() {
      for (const client of clients) await client[Symbol.asyncDispose]();
    },
  };
}

/** Its calls are over, or held open until it is disposed of. */
export interface GrpcAttackUnderWay extends AsyncDisposable {
  readonly statuses: ReadonlyMap<string, number>;
}

async function makeCalls(
  { session, closed }: H2Client,
  attack: GrpcAttack,
  count: (status: string) => void,
): Promise<void> {
  const { connection } = session;
  const more = ["content-type", "application/grpc", "te", "trailers", ...attack.fields];
  const head = connection.prepare([...requestFields(attack.path), ...more]);
  const answers: Promise<void>[] = [];
  const { calls, atATime = calls } = attack;
  let answered = 0;
  for (let index = 0; index < calls && !connection.isOver; index++) {
    while (!connection.isOver && (!connection.canOpen || index - answered >= atATime)) await sleep(1);
    if (connection.isOver) break;
    const answer = Promise.withResolvers<void>();
    const listener = listen((status) => {
      count(status);
      answered++;
      answer.resolve();
    });
    const stream = connection.open(listener, head, undefined, false);
    connection.sendData(stream, undefined, attack.body, attack.end);
    answers.push(answer.promise);
  }
  if (attack.status === undefined) await sleep(100);
  else await Promise.race([Promise.all(answers), closed]);
}

function listen(done: (status: string) => void): StreamListener {
  let isAnswered = false;
  return {
    onHeaders({ fields }: HeaderBlock, end: boolean) {
      if (!end) return;
      isAnswered = true;
      const status = readStatus(fields);
      done(typeof status === "object" ? String(status.code) : `${status}`);
    },
    onData() {},
    // The rest of the request is not wanted: RFC 9113, section 8.1. The answer was whole.
    onReset: (code: number) => {
      if (!isAnswered) done(`reset with ${code}`);
    },
    onDrained() {},
  };
}
