import { createGrpcPair } from "/work/main/test/support/echo-grpc.ts";
import { createHelloService } from "/work/main/src/hello/hello-service.ts";
import { Http2Connection } from "/work/main/src/http2/connection.ts";
import { GrpcSession } from "/work/main/src/grpc/server/grpc-session.ts";
import { CallTracker } from "/work/main/src/grpc/server/call-tracker.ts";
import { createRecordingRouter } from "/work/main/src/server/recording-router.ts";
import { systemClock } from "/work/main/src/core/clock.ts";
import { silentLogger } from "/work/main/src/core/logger.ts";
import { readFileSync } from "node:fs";
const varying = process.argv[2] === "vary";
const req = new Uint8Array(readFileSync("/tmp/lc-c/b/req.bin"));
const host = (s?: () => GrpcSession) => ({ onOutput() {}, onSettings() {}, onGoaway() {}, onIdle() {}, onSlot() {}, onError(_c: number, r: string) { throw new Error(r); }, onStream(st: any, b: any, e: boolean) { return s!().accept(st, b, e)!; } });
const client = new Http2Connection({ role: "client", host: host() as any, now: () => performance.now() });
let session: GrpcSession;
const server = new Http2Connection({ role: "server", host: host(() => session) as any, now: () => performance.now() });
const { router, recorded } = createRecordingRouter({ options: {}, guards: [], shutdownSignal: new AbortController().signal });
createHelloService({ address: { host: "x", port: 1 } } as any)(router as any);
const map = new Map(recorded.map((r) => [r.path, r]));
const calls = new CallTracker();
session = new GrpcSession(server, { route: (p) => map.get(p), leaves: () => false, calls, scheme: "http", clock: systemClock, logger: silentLogger, yieldToLoop: setImmediate });
client.start(); server.start();
let ended = 0;
const L = { onHeaders(_b: any, e: boolean) { if (e) ended++; }, onData(_b: any, f: number, t: number) { client.consumed(st, t - f); }, onReset(c: number) { console.log("reset", c); }, onDrained() {} };
let st: any;
const toServer: Uint8Array[] = []; 
const prepared = client.prepare([":method", "POST", ":scheme", "http", ":path", "/HelloService_proto.HelloService/SayHello", ":authority", "127.0.0.1:1", "te", "trailers", "content-type", "application/grpc", "user-agent", "x"]);
const batch = 32;
let serverMs = 0n; const times: number[] = [];
let n = 0;
function round() {
  for (let i = 0; i < batch; i++) { st = client.open(L as any, prepared, varying ? ["grpc-timeout", `${4999000 + (n++ % 1000)}u`] : undefined, false); client.sendData(st, undefined, req, true); }
  const bytes: Uint8Array[] = []; client.flush((c) => bytes.push(c));
  const t0 = process.hrtime.bigint();
  const out: Uint8Array[] = [];
  for (const b of bytes) server.receive(b, b.length);
  server.flush((c) => out.push(c));
  const d = Number(process.hrtime.bigint() - t0); serverMs += BigInt(d); times.push(d);
  for (const b of out) client.receive(b, b.length);
}
const bytes0: Uint8Array[] = []; client.flush((c) => server.receive(c, c.length)); server.flush((c) => client.receive(c, c.length));
for (let i = 0; i < 3000; i++) round();
for (let k = 0; k < 3; k++) {
  serverMs = 0n; ended = 0;
  const rounds = 6000;
  for (let i = 0; i < rounds; i++) round();
  times.sort((a, b) => a - b); console.log("p10", times[Math.floor(times.length / 10)]! / batch, "p50", times[times.length >> 1]! / batch); times.length = 0; console.log(varying ? "vary" : "same", "server ns/call", Number(serverMs) / (rounds * batch), "ended", ended);
}
process.exit(0);
