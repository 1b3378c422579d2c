// Row tcp-echo, client: as many bytes as a SayHello and its answer take, going round on a few connections. Answers come in order, so
// the times of the calls wait in a ring.

import { connect, type Socket } from "node:net";
import type { Command, Phase } from "./commands.ts";
import { runClient, startMeter } from "./protocol.ts";

const callBytes = 130;

await runClient(async ({ targets }) => {
  const sockets = await Promise.all(targets.map(open));
  return {
    unary: () => Promise.reject(new Error("the echo keeps its calls in flight by itself")),
    run: (command) => run(sockets, command),
  };
});

function open(target: string): Promise<Socket> {
  const { hostname, port } = new URL(`tcp://${target}`);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port), noDelay: true }, () => resolve(socket));
    socket.once("error", reject);
  });
}

async function run(sockets: readonly Socket[], { inFlight = 1, calls = 0, limitMs = 1000 }: Command): Promise<Phase> {
  const meter = startMeter();
  const share = (count: number, index: number) => Math.floor((count + sockets.length - 1 - index) / sockets.length);
  const parts = await Promise.all(
    sockets.map((socket, index) =>
      goRound(socket, share(inFlight, index), share(calls, index), meter.startMs + limitMs),
    ),
  );
  const all = new Float64Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return meter.stop(all, 0);
}

/** Keeps so many calls under way on one socket; resolves to their latencies. */
function goRound(socket: Socket, inFlight: number, calls: number, untilMs: number): Promise<Float64Array> {
  const times = new Float64Array(calls);
  const bytes = Buffer.alloc(inFlight * callBytes);
  let sent = 0;
  let done = 0;
  let pending = 0;
  const send = (count: number) => {
    const nowMs = performance.now();
    if (nowMs >= untilMs) return;
    const end = Math.min(sent + count, calls);
    const length = (end - sent) * callBytes;
    while (sent < end) times[sent++] = nowMs;
    if (length > 0) socket.write(bytes.subarray(0, length));
  };
  return new Promise((resolve) => {
    const onData = (chunk: Buffer) => {
      pending += chunk.length;
      const whole = Math.floor(pending / callBytes);
      pending -= whole * callBytes;
      const nowMs = performance.now();
      for (const end = done + whole; done < end; done++) times[done] = nowMs - (times[done] ?? 0);
      send(whole);
      settle();
    };
    const settle = () => {
      if (done < sent) return;
      socket.off("data", onData);
      socket.pause();
      resolve(times.subarray(0, done));
    };
    socket.on("data", onData);
    socket.resume();
    send(inFlight);
    settle();
  });
}
