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
  /** The codes that a call may end with whose deadline passed, at its client and at its server. */
  readonly deadlines: readonly number[];
  /** What its client leaves out. */
  readonly lacks?: "canceled";
}

const peers: readonly Peer[] = [
  { name: "grpc-js", skip: false, start: startGrpcJs, deadlines: [4] },
  {
    name: "grpcio",
    skip: pythonSkip,
    start: (args) => startPython("echo.py", [echoDescriptors, ...args]),
    deadlines: [4],
  },
  {
    name: "tonic",
    skip: rustSkip,
    start: startRust,
    // Both ends keep the deadline, and it is a race: tonic calls one that it saw pass a cancellation.
    deadlines: [4, 1],
    lacks: "canceled",
  },
];

for (const { name, skip, start, deadlines, lacks } of peers) {
  const checkCalls = (printed: string, lacking?: "canceled") => {
    const { deadline, ...calls }: EchoCalls = JSON.parse(printed);
    assert.ok(deadlines.includes(deadline), `the deadline gave code ${deadline}`);
    const { deadline: _, ...expected } = everyCallRight;
    assert.deepEqual(calls, Object.fromEntries(Object.entries(expected).filter(([key]) => key !== lacking)));
  };

  describe(name, { skip }, () => {
    for (const runtime of runtimeNames) {
      test(`a client of ${name} makes every call to our server on ${runtime}`, async () => {
        await using server = await startEchoServer(runtime);
        await using client = start(["client", server.address]);
        assert.equal(await client.exitCode, 0, client.stderr);
        checkCalls(client.stdout, lacks);
        server.signal("SIGTERM");
        assert.equal(await server.exitCode, 0, server.stderr);
      });

      test(`our client on ${runtime} makes every call to a server of ${name}`, async () => {
        await using server = await untilReady(start(["server"]));
        await using client = startEchoClient(runtime, server.address);
        assert.equal(await client.exitCode, 0, client.stderr);
        checkCalls(client.stdout);
      });
    }
  });
}
