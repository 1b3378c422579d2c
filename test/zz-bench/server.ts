import net from "node:net";
import { Http2Session } from "../../src/http2/session.ts";
import { systemClock } from "../../src/core/clock.ts";
import { wrapNodeSocket } from "../../src/runtime/node-socket.ts";
import { messageHead } from "../../src/grpc/message.ts";
const body = new Uint8Array([10,5,104,101,108,108,111]);
const server = net.createServer((socket) => {
  const session = new Http2Session({ role: "server", socket: wrapNodeSocket(socket), clock: systemClock, defer: process.nextTick as any,
    host: { onSettings(){}, onGoaway(){}, onIdle(){}, onSlot(){}, onClosed(){}, onStream(stream, block, end) {
      const path = block.fields[block.fields.indexOf(":path")+1] ?? "";
      const c = session.connection;
      const go = () => {
        c.sendHeaders(stream, head, undefined, false);
        if (path.endsWith("ServerStream")) {
          let n = 200000;
          const pump = () => { while (n > 0) { n--; if (!c.sendData(stream, messageHead(7,false), body, false)) return; } c.sendHeaders(stream, trailers, undefined, true); };
          listener.onDrained = () => pump();
          pump();
        } else { c.sendData(stream, messageHead(7,false), body, false); c.sendHeaders(stream, trailers, undefined, true); }
      };
      const listener = { onHeaders(){}, onData(b: any, from: number, to: number, end: boolean){ c.consumed(stream, to-from); if (end) go(); }, onReset(){}, onDrained(){} };
      return listener;
    } } });
  const head = session.connection.prepare([":status","200","content-type","application/grpc+proto"]);
  const trailers = session.connection.prepare(["grpc-status","0"]);
  session.start();
});
server.listen(0, "127.0.0.1", () => console.log((server.address() as any).port));
