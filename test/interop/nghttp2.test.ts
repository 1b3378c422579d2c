// The tools that speak HTTP/2 by nghttp2 call our server on every runtime: nghttp, which shows the frames and can make odd ones, h2load,
// which sends many, and curl.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { UnaryRequestSchema, UnaryResponseSchema } from "../gen/lictor/test/v1/echo_pb.ts";
import { spawnCommand } from "../support/spawn-command.ts";
import { runtimeNames } from "../tools/runtimes.ts";
import { http2Kind } from "./http2-kind.ts";
import { nghttp2Skip, startEchoServer } from "./programs.ts";

const grpcHeaders = ["-H", "content-type: application/grpc", "-H", "te: trailers"];

/** Runs a tool to its end; what it printed. */
async function run(program: string, ...args: readonly string[]): Promise<string> {
  await using command = spawnCommand(program, args);
  assert.equal(await command.exitCode, 0, command.stdout + command.stderr);
  return command.stdout;
}

/** How often a text is found. */
function count(text: string, part: RegExp): number {
  return Array.from(text.matchAll(new RegExp(part, "g"))).length;
}

describe("nghttp2's tools", { skip: nghttp2Skip }, () => {
  const text = "x".repeat(100_000);
  let folder: string;
  let small: string;
  let large: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "lictor-nghttp2-"));
    small = writeMessage("small", "nghttp2");
    large = writeMessage("large", text);
  });
  after(() => {
    if (folder !== undefined) rmSync(folder, { recursive: true });
  });

  /** Writes a request behind gRPC's five bytes; the file's path. */
  function writeMessage(name: string, content: string): string {
    const message = toBinary(UnaryRequestSchema, create(UnaryRequestSchema, { text: content }));
    const head = Buffer.alloc(5);
    head.writeUInt32BE(message.length, 1);
    const path = join(folder, name);
    writeFileSync(path, Buffer.concat([head, message]));
    return path;
  }

  for (const runtime of runtimeNames) {
    test(`nghttp reads what our server on ${runtime} says, and ends in order`, async () => {
      await using server = await startEchoServer(runtime);
      const url = `http://${server.address}`;
      const unary = `${url}/lictor.test.v1.EchoService/Unary`;

      const plain = await run("nghttp", "-nv", `${url}/healthz`);
      assert.match(plain, /recv SETTINGS frame/);
      assert.match(plain, /:status: 200/);
      assert.match(plain, /recv SETTINGS frame <length=0, flags=0x01/, "our acknowledgement");

      const call = await run("nghttp", "-nv", ...grpcHeaders, "-d", small, unary);
      assert.match(call, /grpc-status: 0/);
      assert.match(call, /recv HEADERS frame <length=\d+, flags=0x05/, "trailers end the stream");

      assert.match(await run("nghttp", "-nv", ...grpcHeaders, "-d", small, `${url}/no.Such/Method`), /grpc-status: 12/);
      // What it made of the requests, 20 of them at once on one connection.
      assert.equal(count(await run("nghttp", "-nv", "-m", "20", `${url}/healthz`), /:status: 200/), 20);
    });

    test(`nghttp's odd frames are answered by our server on ${runtime}`, async () => {
      await using server = await startEchoServer(runtime);
      const url = `http://${server.address}`;
      const unary = `${url}/lictor.test.v1.EchoService/Unary`;
      const odd = {
        "header blocks in several frames": ["--continuation"],
        "padded frames": ["--padding=100"],
        // Bun 1.4.5's own HTTP/2 goes on with the table that the client took away.
        ...(runtime === "bun" && http2Kind === "node"
          ? {}
          : { "a small table for headers, and a smaller one before": ["-c", "64", "-c", "1024"] }),
        "trailers after the request": ["--trailer", "x-trailer: yes"],
        "windows of a kilobyte": ["-w", "10"],
        "no length announced": ["--no-content-length"],
      };
      for (const [what, flags] of Object.entries(odd)) {
        const shown = await run("nghttp", "-v", ...flags, ...grpcHeaders, "-d", large, unary);
        assert.match(shown, /grpc-status: 0/, what);
        assert.ok(shown.includes("xxxxxxxxxx") && !shown.includes("RST_STREAM"), what);
      }
    });

    test(`h2load's requests are all answered by our server on ${runtime}`, async () => {
      await using server = await startEchoServer(runtime);
      const url = `http://${server.address}`;
      const unary = `${url}/lictor.test.v1.EchoService/Unary`;
      const load = ["-n", "5000", "-c", "10", "-m", "50"];
      const answered = /5000 total, 5000 started, 5000 done, 5000 succeeded, 0 failed, 0 errored, 0 timeout/;
      assert.match(await run("h2load", ...load, `${url}/healthz`), answered);
      assert.match(await run("h2load", ...load, ...grpcHeaders, "-d", small, unary), answered);
      // More at once than one window holds.
      const bulk = await run("h2load", "-n", "200", "-c", "2", "-m", "20", ...grpcHeaders, "-d", large, unary);
      assert.match(bulk, /200 succeeded, 0 failed, 0 errored, 0 timeout/);
      assert.match(bulk, /status codes: 200 2xx/);
    });

    test(`curl makes a gRPC call to our server on ${runtime}`, async () => {
      await using server = await startEchoServer(runtime);
      const answer = join(folder, `answer-${runtime}`);
      const flags = ["--http2-prior-knowledge", "-sS", "--max-time", "10", "-D", "-", "-o", answer];
      const url = `http://${server.address}/lictor.test.v1.EchoService/Unary`;
      const shown = await run("curl", ...flags, ...grpcHeaders, "--data-binary", `@${large}`, url);
      assert.match(shown, /^HTTP\/2 200/);
      assert.match(shown, /^content-type: application\/grpc/m);
      assert.match(shown, /^grpc-status: 0/m);
      const bytes = readFileSync(answer);
      assert.equal(bytes.readUInt32BE(1), bytes.length - 5);
      assert.equal(fromBinary(UnaryResponseSchema, bytes.subarray(5)).text, text);
    });
  }
});
