// EchoService between lictor on every runtime and gRPC as others have it, both ways: all four kinds of calls, metadata, big messages,
// compression, failures, deadlines, cancellation. Which HTTP/2 of ours they meet, LICTOR_HTTP2 says.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SpawnedCommand } from "../support/spawn-command.ts";
import { runtimeNames } from "../tools/runtimes.ts";
import { type EchoCalls, everyCallRight } from "./echo-calls.ts";
import {
  echoDescriptors,
  pythonSkip,
  rustSkip,
  startEchoClient,
  startEchoServer,
  startGrpcJs,
  startPython,
  startRust,
  untilReady,
} from "./programs.ts";

interface Peer {
  readonly name: string;
  readonly skip: string | false;
  start(args: readonly string[]): SpawnedCommand;
  /** What its client has in its own way. */
  expect(calls: EchoCalls): EchoCalls;
}

const peers: readonly Peer[] = [
  { name: "grpc-js", skip: false, start: startGrpcJs, expect: () => everyCallRight },
  {
    name: "grpcio",
    skip: pythonSkip,
    start: (args) => startPython("echo.py", [echoDescriptors, ...args]),
    expect: () => everyCallRight,
  },
  {
    name: "tonic",
    skip: rustSkip,
    start: startRust,
    expect({ deadline }) {
      const { canceled: _, ...expected } = everyCallRight;
      // Its own clock and the server's answer run a race, and tonic calls a deadline that its own clock saw a cancellation.
      return { ...expected, deadline: deadline === 1 ? 1 : 4 };
    },
  },
];

for (const { name, skip, start, expect } of peers) {
  describe(name, { skip }, () => {
    for (const runtime of runtimeNames) {
      test(`a client of ${name} makes every call to our server on ${runtime}`, async () => {
        await using server = await startEchoServer(runtime);
        await using client = start(["client", server.address]);
        assert.equal(await client.exitCode, 0, client.stderr);
        const calls: EchoCalls = JSON.parse(client.stdout);
        assert.deepEqual(calls, expect(calls));
        server.signal("SIGTERM");
        assert.equal(await server.exitCode, 0, server.stderr);
      });

      test(`our client on ${runtime} makes every call to a server of ${name}`, async () => {
        await using server = await untilReady(start(["server"]));
        await using client = startEchoClient(runtime, server.address);
        assert.equal(await client.exitCode, 0, client.stderr);
        assert.deepEqual(JSON.parse(client.stdout), everyCallRight);
      });
    }
  });
}
