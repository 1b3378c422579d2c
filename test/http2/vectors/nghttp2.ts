// nghttp2 as an encoder, by way of Node's client of node:http2: a server of bare sockets reads the header blocks that it sends.

import { once } from "node:events";
import * as http2 from "node:http2";
import * as net from "node:net";
import { FrameLog, frame, settingsPayload } from "../../support/h2-wire.ts";
import { listenOnLoopback } from "../../support/loopback.ts";
import type { Story } from "./stories.ts";

/** The blocks of a story's lists, in hexadecimal. Runs on Node only. */
export async function encodeWithNghttp2({ lists, tableBytes }: Story): Promise<string[]> {
  const log = new FrameLog();
  const server = net.createServer((socket) => {
    let left = 24;
    socket.write(frame(4, 0, 0, settingsPayload([3, 1000])));
    socket.on("data", (chunk) => {
      const skipped = Math.min(left, chunk.length);
      left -= skipped;
      log.add(chunk.subarray(skipped));
    });
    sockets.push(socket);
  });
  const sockets: net.Socket[] = [];
  await using listening = await listenOnLoopback(server);
  const client = http2.connect(`http://127.0.0.1:${listening.port}`);
  client.on("error", () => {});
  await once(client, "remoteSettings");
  for (const [index, list] of lists.entries()) {
    const bytes = tableBytes[index];
    if (bytes !== undefined) {
      const changed = once(client, "remoteSettings");
      sockets[0]?.write(frame(4, 0, 0, settingsPayload([1, bytes])));
      await changed;
    }
    const headers: Record<string | symbol, string | string[]> = {};
    for (let at = 0; at < list.length; at += 2) {
      const name = list[at] ?? "";
      const value = list[at + 1] ?? "";
      const known = headers[name];
      headers[name] = known === undefined ? value : [known, value].flat();
    }
    headers[http2.sensitiveHeaders] = ["authorization"];
    client.request(headers as http2.OutgoingHttpHeaders, { endStream: true }).on("error", () => {});
    while (log.ofType(1).length <= index) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  client.destroy();
  return log.ofType(1).map(({ payload }) => Buffer.from(payload).toString("hex"));
}
