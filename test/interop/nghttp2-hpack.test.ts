// Header blocks of ours, decoded by nghttp2, and its own decoded by ours: over connections of hundreds of answers, value by value, while the
// tables fill, turn over and change their sizes. What nghttp2 as an encoder makes of the stories is in test/http2/hpack-vectors.test.ts.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { HeaderDecoder } from "../../src/http2/hpack/header-decoder.ts";
import { HeaderEncoder } from "../../src/http2/hpack/header-encoder.ts";
import { serve } from "../../src/server/serve.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { hpackStories } from "../http2/vectors/stories.ts";
import { FrameLog, frame, type HeardFrame, settingsPayload } from "../support/h2-wire.ts";
import { listenOnLoopback } from "../support/loopback.ts";
import { nghttp2Skip } from "./programs.ts";

/** What an encoder of ours starts with, and never goes beyond. */
const fullTableBytes = 4096;

/** One answer. */
interface Answer {
  readonly fields: readonly string[];
  /** Size that the encoder's table gets before it. */
  readonly tableBytes: number | undefined;
}

/** The stories as answers of one connection, each list twice in a row: the second time much of it is in the table. */
function answers(): Answer[] {
  return hpackStories().flatMap(({ lists, tableBytes }) =>
    lists.flatMap((list, index) => {
      const at = list.findIndex((text, place) => place % 2 === 0 && !text.startsWith(":"));
      const fields = [":status", "200", ...list.slice(at)];
      return [
        { fields, tableBytes: tableBytes[index] ?? (index === 0 ? fullTableBytes : undefined) },
        { fields, tableBytes: undefined },
      ];
    }),
  );
}

/** Runs nghttp and gives what it printed, one character a byte. */
async function nghttp(...args: readonly string[]): Promise<string> {
  const child = spawn("nghttp", ["-nv", ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let printed = "";
  for (const pipe of [child.stdout, child.stderr]) {
    pipe.setEncoding("latin1");
    pipe.on("data", (text: string) => {
      printed += text;
    });
  }
  const [code] = await once(child, "close");
  assert.equal(code, 0, printed);
  return printed;
}

/** The fields that nghttp was sent, by stream: those of the headers and then of the trailers. */
function received(printed: string): Map<number, string[]> {
  const streams = new Map<number, string[]>();
  for (const [, id, name = "", value = ""] of printed.matchAll(
    /recv \(stream_id=(\d+)(?:, [^)]*)?\) (:?[^:]+): (.*)$/gm,
  )) {
    const fields = streams.get(Number(id)) ?? [];
    fields.push(name, value);
    streams.set(Number(id), fields);
  }
  return streams;
}

/** A server of bare frames: every header block that comes goes to `onRequest`, which gives the block of its answer. */
function bareServer(onSettings: (tableBytes: number) => void, onRequest: (request: HeardFrame) => Uint8Array) {
  return createServer((socket: Socket) => {
    const log = new FrameLog();
    let prefaceLeft = 24;
    socket.on("error", () => {});
    socket.write(frame(4, 0, 0, settingsPayload([3, 2000])));
    socket.on("data", (bytes: Uint8Array) => {
      log.add(bytes.subarray(prefaceLeft));
      prefaceLeft -= Math.min(prefaceLeft, bytes.length);
      for (const heard of log.frames.splice(0)) {
        if (heard.type === 4 && (heard.flags & 1) === 0) {
          for (let at = 0; at + 6 <= heard.payload.length; at += 6) {
            const view = new DataView(heard.payload.buffer, heard.payload.byteOffset + at);
            if (view.getUint16(0) === 1) onSettings(view.getUint32(2));
          }
          socket.write(frame(4, 1, 0));
        }
        if (heard.type === 1) socket.write(frame(1, 5, heard.streamId, onRequest(heard)));
      }
    });
  });
}

/** The block behind the padding and the priority that HEADERS may have: RFC 9113, section 6.2. */
function blockOf({ flags, payload }: HeardFrame): Uint8Array {
  const padding = (flags & 8) === 0 ? 0 : (payload[0] ?? 0);
  const from = ((flags & 8) === 0 ? 0 : 1) + ((flags & 0x20) === 0 ? 0 : 5);
  return payload.subarray(from, payload.length - padding);
}

describe("nghttp2's HPACK and ours", { skip: nghttp2Skip }, () => {
  for (const [what, flags, peerTableBytes] of [
    ["a table of 4096 bytes", [], fullTableBytes],
    ["a table of 300 bytes", ["-c", "300"], 300],
    ["no table at all, then one of 1000 bytes", ["-c", "0", "-c", "1000"], 1000],
    ["a larger table than ours", ["-c", "64K"], fullTableBytes],
    ["no table", ["-c", "0"], 0],
  ] as const) {
    test(`nghttp2 decodes what HeaderEncoder encodes, and HeaderDecoder its requests, over ${what}`, async () => {
      const list = [...answers(), ...answers()];
      const encoder = new HeaderEncoder();
      const decoder = new HeaderDecoder({ maxTableBytes: fullTableBytes, maxListBytes: 64 * 1024 });
      const sent = new Map<number, readonly string[]>();
      const requests: (readonly string[])[] = [];
      let allowedBytes = fullTableBytes;
      let encodedBytes = 0;
      const server = bareServer(
        (tableBytes) => {
          allowedBytes = Math.min(tableBytes, fullTableBytes);
          encoder.setMaxTableBytes(allowedBytes);
        },
        (request) => {
          const block = blockOf(request);
          requests.push(decoder.decode(block, 0, block.length).fields);
          const { fields, tableBytes } = list[sent.size] ?? { fields: [":status", "500"], tableBytes: undefined };
          if (tableBytes !== undefined) encoder.setMaxTableBytes(Math.min(tableBytes, allowedBytes));
          const out = new Uint8Array(HeaderEncoder.bound(fields) + 16);
          const end = encoder.encodeUnindexed(fields.slice(-2), out, encoder.encode(fields.slice(0, -2), out, 0));
          sent.set(request.streamId, fields);
          encodedBytes += end;
          return out.subarray(0, end);
        },
      );
      await using listening = await listenOnLoopback(server);
      const urls = list.map((_, index) => `http://127.0.0.1:${listening.port}/${(index * 7919) % 100}/page-${index}`);
      const printed = await nghttp(...flags, "-H", "x-team: red", "--encoder-header-table-size=512", ...urls);

      const got = received(printed);
      assert.equal(got.size, list.length, printed.slice(-500));
      for (const [streamId, fields] of sent) assert.deepEqual(got.get(streamId), fields);
      assert.equal(allowedBytes, peerTableBytes);
      const plainBytes = list.flatMap(({ fields }) => fields).join("").length;
      const share = encodedBytes / plainBytes;
      assert.ok(peerTableBytes < 1000 || share < 0.75, `the table saves: ${share}`);

      const paths = requests.map((fields) => fields[fields.indexOf(":path") + 1]);
      assert.deepEqual(paths.toSorted(), urls.map((url) => new URL(url).pathname).toSorted());
      for (const fields of requests) {
        assert.equal(fields[fields.indexOf(":authority") + 1], `127.0.0.1:${listening.port}`);
        assert.equal(fields[fields.indexOf("x-team") + 1], "red");
      }
    });
  }

  for (const [what, flags] of [
    ["a table of 4096 bytes", []],
    ["a table of 200 bytes", ["-c", "200"]],
    ["no table at all, then one of 1000 bytes", ["-c", "0", "-c", "1000"]],
  ] as const) {
    test(`nghttp2 decodes the headers and trailers of our server's calls, over ${what}`, async () => {
      const calls = 400;
      /** Some the same in all calls, some in many, some in few, some in one. */
      const header = (call: number): [name: string, value: string][] => [
        ["x-call", String(call)],
        ["x-server", "always the same server"],
        [`x-${call % 40}`, `of forty names${"!".repeat(call % 60)}`],
        ["x-week", `one of seven days: ${call % 7}`],
      ];
      const trailer = (call: number): [name: string, value: string][] => [
        [`x-trailer-${call % 9}`, `the ${call % 5}th of five`],
        ["x-cost", String(call * 31)],
      ];
      let count = 0;
      const server = serve({
        routes: (router) =>
          router.service(EchoService, {
            unary(_request, { responseHeader, responseTrailer }) {
              const call = count++;
              for (const [name, value] of header(call)) responseHeader.set(name, value);
              for (const [name, value] of trailer(call)) responseTrailer.set(name, value);
              return {};
            },
          }),
      });
      const folder = mkdtempSync(join(tmpdir(), "lictor-nghttp2-hpack-"));
      try {
        const message = join(folder, "empty");
        writeFileSync(message, new Uint8Array(5));
        const { port } = await server.ready;
        const grpc = ["-H", "content-type: application/grpc", "-H", "te: trailers", "-d", message];
        const url = `http://127.0.0.1:${port}/lictor.test.v1.EchoService/Unary`;
        const printed = await nghttp(...flags, ...grpc, "-m", String(calls), url);
        const got = received(printed);
        assert.equal(got.size, calls, printed.slice(-500));
        const seen = new Set<number>();
        for (const fields of got.values()) {
          const named = (name: string) => fields.filter((_, at) => at % 2 === 1 && fields[at - 1] === name);
          const call = Number(named("x-call")[0]);
          seen.add(call);
          for (const [name, value] of [...header(call), ...trailer(call)]) assert.deepEqual(named(name), [value]);
          assert.deepEqual(named("grpc-status"), ["0"]);
          assert.deepEqual(named(":status"), ["200"]);
        }
        assert.equal(seen.size, calls);
      } finally {
        rmSync(folder, { recursive: true });
        await server.close();
      }
    });
  }
});
