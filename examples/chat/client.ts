// A chat in the terminal: `node client.ts ROOM NAME`. Says the lines that are typed; Ctrl-D or Ctrl-C leaves. Reads Consul's own
// variables.

import process from "node:process";
import { createInterface } from "node:readline";
import { consulFromEnv, createConsulTransport } from "lictor";
import type { ChatResponse } from "./gen/example/chat/v1/chat_pb.ts";
import { enterRoom } from "./room.ts";
import { pinTo } from "./room-owner.ts";

const [room = "lobby", name = "guest"] = process.argv.slice(2);
const transport = createConsulTransport({
  service: "chat",
  consul: consulFromEnv(process.env),
  balancer: pinTo(room),
});
const stay = enterRoom({
  transport,
  room,
  name,
  onResponse: print,
  onAway: (error) => console.log(error ? `* away: ${error.rawMessage}` : "* the room moves"),
});
const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => stay.say(line));
lines.once("close", () => void stay.leave());
process.once("SIGINT", () => lines.close());

await stay.over;
await transport.close();

function print({ name: member, event }: ChatResponse): void {
  switch (event.case) {
    case "joined":
      console.log(`* ${member} joined on ${event.value.server}, here are: ${event.value.members.join(", ")}`);
      break;
    case "said":
      console.log(`${member}: ${event.value.text}`);
      break;
    case "left":
      console.log(`* ${member} left`);
      break;
  }
}
