// The fault proxy between plain sockets: what arrives, when, and how connections end.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { describe, test } from "node:test";
import { createFaultProxy, type FaultProxy, type FaultProxyOptions } from "../../src/testing/fault-proxy.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";
import { until } from "../support/eventually.ts";
import { closedPort, listenOnLoopback } from "../support/loopback.ts";
import { seededRandom } from "../support/seeded-random.ts";

/** A socket and what happened to it. */
interface Watched {
  readonly socket: Socket;
  text: string;
  /** How it ended, as far as it has: by the peer's end, by an error, and whether it is closed. */
  hasEnded: boolean;
  error: string | undefined;
  isClosed: boolean;
}

function watch(socket: Socket): Watched {
  const watched: Watched = { socket, text: "", hasEnded: false, error: undefined, isClosed: false };
  socket.on("data", (bytes: Uint8Array) => {
    watched.text += new TextDecoder().decode(bytes);
  });
  socket.on("end", () => {
    watched.hasEnded = true;
  });
  socket.on("error", (error: NodeJS.ErrnoException) => {
    watched.error = error.code;
  });
  socket.on("close", () => {
    watched.isClosed = true;
  });
  return watched;
}

/** A client and a server, connected through a proxy. */
interface Line extends AsyncDisposable {
  readonly proxy: FaultProxy;
  readonly client: Watched;
  readonly server: Watched;
  dial(): Promise<Watched>;
}

async function openLine(options: Partial<FaultProxyOptions> = {}): Promise<Line> {
  const accepted: Watched[] = [];
  const listening = await listenOnLoopback(
    createServer({ allowHalfOpen: true }, (socket) => {
      accepted.push(watch(socket));
    }),
  );
  const proxy = await createFaultProxy({ target: listening.port, ...options });
  const dialled: Socket[] = [];
  const dial = async () => {
    const socket = connect({ port: proxy.port, host: "127.0.0.1", allowHalfOpen: true });
    dialled.push(socket);
    const watched = watch(socket);
    await once(socket, "connect");
    return watched;
  };
  const client = await dial();
  await until(() => accepted.length === 1);
  const [server] = accepted;
  assert.ok(server);
  return {
    proxy,
    client,
    server,
    dial,
    async [Symbol.asyncDispose]() {
      for (const socket of dialled) socket.destroy();
      await proxy.close();
      await listening[Symbol.asyncDispose]();
    },
  };
}

describe("createFaultProxy()", () => {
  test("createFaultProxy() passes bytes and ends on, each way by itself, when there is no fault", async () => {
    await using line = await openLine();
    const { client, server, proxy } = line;
    client.socket.end("question");
    await until(() => server.hasEnded && server.text === "question");
    assert.equal(client.hasEnded, false);
    server.socket.end("the answer");
    await until(() => client.isClosed && client.text === "the answer" && proxy.counts.open === 0);
    assert.equal(client.error, undefined);
    assert.deepEqual(proxy.counts, {
      connections: 1,
      open: 0,
      toServerBytes: 8,
      toClientBytes: 10,
      droppedBytes: 0,
      resets: 0,
      cuts: 0,
    });
    assert.equal(proxy.address, `127.0.0.1:${proxy.port}`);
  });

  test("createFaultProxy() passes megabytes unchanged when the reader is slow", async () => {
    await using line = await openLine();
    const { client, server } = line;
    const sent = "0123456789abcdef".repeat(200_000);
    server.socket.pause();
    client.socket.end(sent);
    await new Promise((resolve) => setTimeout(resolve, 50));
    server.socket.resume();
    await until(() => server.hasEnded);
    assert.ok(server.text === sent);
  });

  test("set() delays a direction by latency and jitter and keeps the order", async () => {
    const clock = createManualClock();
    const chances = [1, 0];
    await using line = await openLine({ clock, random: () => chances.shift() ?? 0 });
    const { client, server, proxy } = line;
    proxy.set({ latencyMs: 100, jitterMs: 50 }, "toServer");
    client.socket.write("a");
    await until(() => clock.pending === 1);
    await clock.advance(10);
    client.socket.write("b");
    // The second would come at 110, but the first comes at 150.
    await until(() => chances.length === 0);
    server.socket.write("back");
    await until(() => client.text === "back");
    await clock.advance(139);
    assert.equal(server.text, "");
    await clock.advance(1);
    await until(() => server.text === "ab");
    await proxy.heal();
    client.socket.write("c");
    await until(() => server.text === "abc");
  });

  test("set() slows a direction to so many bytes a second", async () => {
    const clock = createManualClock();
    await using line = await openLine({ clock });
    const { client, server, proxy } = line;
    proxy.set({ bytesPerSecond: 100 });
    client.socket.write("x".repeat(50));
    await until(() => clock.pending === 1);
    await clock.advance(200);
    await until(() => server.text.length === 20);
    await clock.advance(299);
    await until(() => server.text.length === 45);
    await clock.advance(1);
    await until(() => server.text.length === 50);
  });

  test("set() holds everything while stalled and passes it on after", async () => {
    await using line = await openLine();
    const { client, server, proxy } = line;
    proxy.set({ stalled: true });
    client.socket.end("held");
    const late = await line.dial();
    late.socket.write("held too");
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(server.text, "");
    assert.equal(proxy.counts.toServerBytes, 0);
    await proxy.heal();
    await until(() => server.text === "held" && server.hasEnded);
    await until(() => proxy.counts.toServerBytes === 12);
  });

  test("set() throws away what is sent into a black hole, ends too, and heal() resets whoever lost something", async () => {
    await using line = await openLine();
    const { client, server, proxy } = line;
    const bystander = await line.dial();
    proxy.set({ dropped: true });
    client.socket.end("lost");
    await until(() => proxy.counts.droppedBytes === 4);
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(server.text, "");
    assert.equal(server.hasEnded, false);
    assert.equal(client.isClosed, false);
    await proxy.heal();
    await until(() => server.isClosed && client.isClosed);
    assert.equal(server.error, "ECONNRESET");
    assert.equal(proxy.counts.resets, 1);
    assert.equal(bystander.isClosed, false);
  });

  test("set() loses one direction only when told which", async () => {
    await using line = await openLine();
    const { client, server, proxy } = line;
    proxy.set({ dropped: true }, "toClient");
    client.socket.write("asked");
    await until(() => server.text === "asked");
    server.socket.write("answer");
    await until(() => proxy.counts.droppedBytes === 6);
    assert.equal(client.text, "");
  });

  test("set() resets a share of what is written, by the generator given", async () => {
    const { random } = seededRandom(7);
    let draws = 0;
    const counting = () => {
      draws++;
      return random();
    };
    await using line = await openLine({ random: counting });
    const { proxy } = line;
    proxy.set({ resetShare: 0.2 }, "toServer");
    for (let round = 0; proxy.counts.resets === 0; round++) {
      assert.ok(round < 100);
      const before = proxy.counts.toServerBytes;
      line.client.socket.write("x");
      await until(() => proxy.counts.toServerBytes > before || proxy.counts.resets > 0);
    }
    await until(() => line.client.isClosed && line.server.isClosed);
    assert.equal(line.client.error, "ECONNRESET");
    const replay = seededRandom(7).random;
    let expected = 1;
    while (replay() >= 0.2) expected++;
    assert.equal(draws, expected);
  });

  test("set() ends a connection in the middle when it is truncated", async () => {
    await using line = await openLine();
    const { client, server, proxy } = line;
    client.socket.write("free ");
    await until(() => server.text === "free ");
    proxy.set({ truncateAfterBytes: 3 }, "toServer");
    client.socket.write("message");
    await until(() => server.hasEnded && client.hasEnded);
    assert.equal(server.text, "free mes");
    assert.equal(proxy.counts.cuts, 1);
  });

  test("cut() ends and reset() resets every connection now, and new ones are taken", async () => {
    await using line = await openLine();
    const { client, server, proxy } = line;
    assert.equal(proxy.cut(), 1);
    await until(() => client.hasEnded && server.hasEnded);
    assert.equal(client.error, undefined);
    await until(() => proxy.counts.open === 0);
    const second = await line.dial();
    await until(() => proxy.counts.open === 1);
    assert.equal(proxy.reset(), 1);
    await until(() => second.isClosed);
    assert.equal(second.error, "ECONNRESET");
    const third = await line.dial();
    third.socket.write("here");
    await until(() => proxy.counts.toServerBytes === 4);
    assert.deepEqual([proxy.counts.cuts, proxy.counts.resets], [1, 1]);
  });

  test("refuse() closes the port and leaves connections alone, heal() opens it again", async () => {
    await using line = await openLine();
    const { client, server, proxy } = line;
    await proxy.refuse();
    await assert.rejects(line.dial(), { code: "ECONNREFUSED" });
    client.socket.write("still");
    await until(() => server.text === "still");
    await proxy.heal();
    assert.equal((await line.dial()).isClosed, false);
  });

  test("createFaultProxy() resets a connection whose target is gone, and retarget() sends the next elsewhere", async () => {
    await using line = await openLine();
    await using other = await listenOnLoopback(createServer((socket) => socket.end("other")));
    line.proxy.retarget(await closedPort());
    const lost = await line.dial().catch(() => undefined);
    if (lost !== undefined) await until(() => lost.isClosed);
    line.proxy.retarget(other.port);
    const found = await line.dial();
    await until(() => found.text === "other");
  });

  test("createFaultProxy() without a target resets connections until retarget() says where", async () => {
    await using proxy = await createFaultProxy();
    const early = watch(connect(proxy.port, "127.0.0.1"));
    await until(() => early.isClosed);
    assert.equal(proxy.counts.resets, 1);
    await using server = await listenOnLoopback(createServer((socket) => socket.end("here")));
    proxy.retarget(server.port);
    const late = watch(connect(proxy.port, "127.0.0.1"));
    await until(() => late.isClosed);
    assert.equal(late.text, "here");
  });

  test("createFaultProxy() passes a reset on", async () => {
    await using line = await openLine();
    line.server.socket.resetAndDestroy();
    await until(() => line.client.isClosed);
    assert.equal(line.client.error, "ECONNRESET");
  });

  test("close() is idempotent, ends what is open and leaves no timer", async () => {
    const clock = createManualClock();
    await using line = await openLine({ clock });
    line.proxy.set({ latencyMs: 1000 });
    line.client.socket.write("never");
    await until(() => clock.pending === 1);
    await Promise.all([line.proxy.close(), line.proxy.close()]);
    assert.equal(clock.pending, 0);
    assert.equal(line.proxy.counts.open, 0);
    await assert.rejects(line.dial(), { code: "ECONNREFUSED" });
    await assert.rejects(line.proxy.heal(), /closed/);
  });

  test("createFaultProxy() and set() refuse what is outside its range", async () => {
    await assert.rejects(createFaultProxy({ target: 0 }), RangeError);
    await assert.rejects(createFaultProxy({ target: { host: "", port: 1 } }), TypeError);
    await assert.rejects(createFaultProxy({ target: 1, port: 65_536 }), RangeError);
    await using line = await openLine();
    await assert.rejects(createFaultProxy({ target: 1, port: line.proxy.port }), { code: "EADDRINUSE" });
    for (const faults of [{ latencyMs: -1 }, { bytesPerSecond: 0 }, { resetShare: 1.1 }, { truncateAfterBytes: -1 }]) {
      assert.throws(() => line.proxy.set(faults), RangeError);
    }
    assert.throws(() => line.proxy.set({ lag: 1 } as never), TypeError);
    assert.throws(() => line.proxy.set({ stalled: 1 } as never), TypeError);
  });
});
