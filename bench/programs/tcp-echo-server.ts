// Row tcp-echo, server: every byte back, on the runtime's own node:net. What sockets alone cost there.

import { type AddressInfo, createServer } from "node:net";
import { runServer } from "./protocol.ts";

await runServer(async () => {
  const server = createServer((socket) => {
    socket.setNoDelay(true);
    socket.on("error", () => {});
    socket.on("data", (bytes) => socket.write(bytes));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
});
