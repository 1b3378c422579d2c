// A member of a room, in the test's own process, that remembers what it is told.

import { createConsulTransport } from "lictor";
import { enterRoom, type Room } from "../room.ts";
import { pinTo } from "../room-owner.ts";
import { watched } from "./watched.ts";

/** Where a member is and what it has heard, as it is now. */
export interface Member {
  readonly room: Room;
  /** `host:port` of the server that it is on. */
  server: string;
  present: string[];
  /** Everything that was said, as `name: text`. */
  readonly heard: string[];
  /** Why its streams ended: `moved`, or an error's message. */
  readonly aways: string[];
  until(condition: () => boolean): Promise<void>;
  /** Leaves, and closes its transport. Idempotent. */
  leave(): Promise<void>;
}

/** Lets a member join. Whoever does lets it leave. */
export function enter(consul: string, roomName: string, name: string): Member {
  const transport = createConsulTransport({ service: "chat", consul, balancer: pinTo(roomName) });
  const { changed, until } = watched();
  const room = enterRoom({
    transport,
    room: roomName,
    name,
    onResponse({ name: who, event }) {
      if (event.case === "said") member.heard.push(`${who}: ${event.value.text}`);
      if (event.case === "left") member.present = member.present.filter((one) => one !== who);
      if (event.case === "joined") {
        member.present = event.value.members;
        member.server = event.value.server;
      }
      changed();
    },
    onAway(error) {
      member.aways.push(error?.message ?? "moved");
      changed();
    },
  });
  const leave = async () => {
    await room.leave();
    await transport.close();
  };
  const member: Member = { room, server: "", present: [], heard: [], aways: [], until, leave };
  return member;
}
