import { createHttp2Connector } from "../../src/connector/http2-connector.ts";
import { createClient } from "@connectrpc/connect";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
const [port, mode = "plain", total = "200000"] = process.argv.slice(2);
const N = Number(total);
const clients: any[] = []; const conns: any[] = [];
for (let i = 0; i < 3; i++) {
  await new Promise<void>((resolve) => { const c = createHttp2Connector()({ id: "x", url: `http://127.0.0.1:${port}` } as any, { onState(s) { if (s.type === "ready") resolve(); } }); c.connect(); conns.push(c); });
  clients.push(createClient(EchoService, conns[i].transport));
}
if (mode === "stream") {
  for (let r = 0; r < 4; r++) {
    const t = performance.now(), cpu = process.cpuUsage(); let n = 0;
    for await (const m of clients[0].serverStream({ text: "x" })) n++;
    const c = process.cpuUsage(cpu), ms = performance.now() - t;
    console.log(n, "messages", Math.round(n / ms * 1000), "msg/s", ((c.user + c.system) / n).toFixed(2), "us/msg");
  }
} else {
  const options = mode === "full" ? { timeoutMs: 5000, headers: { "x-tenant": "abc" } } : mode === "deadline" ? { timeoutMs: 5000 } : undefined;
  const run = async (count: number) => {
    let left = count, next = 0; const lat: number[] = [];
    const worker = async () => { while (left-- > 0) { const t = performance.now(); const a = await clients[next++ % 3].unary({ text: "hello" }, options); if (a.text !== "hello") throw new Error("x"); lat.push(performance.now() - t); } };
    const t = performance.now(), cpu = process.cpuUsage();
    await Promise.all(Array.from({ length: 64 }, worker));
    const c = process.cpuUsage(cpu); lat.sort((a, b) => a - b);
    return `${((c.user + c.system) / count).toFixed(1)} us cpu/call, ${Math.round(count / (performance.now() - t) * 1000)} calls/s, p50 ${lat[count >> 1]!.toFixed(2)} p99 ${lat[Math.floor(count * 0.99)]!.toFixed(2)}`;
  };
  await run(30000);
  for (let r = 0; r < 3; r++) console.log(mode, await run(N / 3));
}
for (const c of conns) await c.close();
