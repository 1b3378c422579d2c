// Serves ChatService until a signal ends it, and hands rooms over when servers come and go. Reads HOST, PORT and Consul's own
// variables.

import process from "node:process";
import { closeOnSignal, consulFromEnv, serve, watchService } from "lictor";
import { createChat } from "./chat.ts";
import { ownerOf } from "./room-owner.ts";

const consul = consulFromEnv(process.env);
const serverId = crypto.randomUUID();
const chat = createChat();
const server = serve({
  routes: chat.routes,
  host: process.env.HOST ?? "127.0.0.1",
  port: Number(process.env.PORT ?? 0),
  consul,
  service: { name: "chat", meta: { server: serverId } },
});
closeOnSignal(server);

const { host, port } = await server.ready;
console.log(`ready ${host}:${port}`);

for await (const { endpoints } of watchService({ consul, service: "chat" })) {
  // A server that is told to stop is the first to leave this list, and still serves: its members go while all is well. An
  // empty list at any other time is a Consul that has forgotten us all: no reason to send anybody away.
  if (endpoints.length === 0 && server.state.type === "serving") continue;
  chat.keep((room) => ownerOf(room, endpoints)?.meta.server === serverId);
}
