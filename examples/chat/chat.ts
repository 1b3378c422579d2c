// ChatService: rooms, who is in them, and who hears what. Knows neither Consul nor sockets.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import type { Server } from "lictor";
import { type ChatRequest, type ChatResponseSchema, ChatService, type Join } from "./gen/example/chat/v1/chat_pb.ts";
import { Queue } from "./queue.ts";

/** Messages that a member may be behind, before it is sent away. */
const maxBehind = 1000;

type Response = MessageInitShape<typeof ChatResponseSchema>;

interface Member {
  readonly name: string;
  readonly inbox: Queue<Response>;
}

/** The rooms of one server. */
export interface Chat {
  /** To be given to `serve`. */
  routes(router: ConnectRouter, server: Server): void;
  /** Says which rooms are this server's. The streams in all others end, and joining them is refused. At first all are. */
  keep(isOurs: (room: string) => boolean): void;
}

export function createChat(): Chat {
  const rooms = new Map<string, Set<Member>>();
  let isOurs = (_room: string): boolean => true;

  const tell = (room: string, about: (listener: Member) => Response): void => {
    for (const listener of rooms.get(room) ?? []) {
      if (listener.inbox.length < maxBehind) listener.inbox.push(about(listener));
      else listener.inbox.fail(new ConnectError("too slow to follow the room", Code.ResourceExhausted));
    }
  };

  const enter = ({ room, name }: Join, inbox: Queue<Response>, server: string): Member => {
    if (room === "" || name === "") throw new ConnectError("a room and a name are needed", Code.InvalidArgument);
    if (!isOurs(room)) throw new ConnectError("the room lives on another server", Code.Unavailable);
    const member: Member = { name, inbox };
    const members = rooms.get(room) ?? new Set();
    rooms.set(room, members.add(member));
    const names = [...members].map((one) => one.name);
    tell(room, () => ({ name, event: { case: "joined", value: { members: names, server } } }));
    return member;
  };

  const leave = (room: string, member: Member): void => {
    const members = rooms.get(room);
    // Not there where the room has moved.
    if (!members?.delete(member)) return;
    if (members.size === 0) rooms.delete(room);
    tell(room, () => ({ name: member.name, event: { case: "left", value: {} } }));
  };

  /** Does what one member asks for, until it ends its side; rejects where the stream breaks, or the member breaks a rule. */
  const listen = async (
    requests: AsyncIterable<ChatRequest>,
    inbox: Queue<Response>,
    server: string,
  ): Promise<void> => {
    let stay: { readonly room: string; readonly member: Member } | undefined;
    try {
      for await (const { action } of requests) {
        if (action.case === "join" && stay === undefined) {
          stay = { room: action.value.room, member: enter(action.value, inbox, server) };
        } else if (action.case === "say" && stay !== undefined) {
          const { member, room } = stay;
          const { text } = action.value;
          tell(room, (listener) => ({
            name: member.name,
            event: { case: "said", value: { text, yours: listener === member } },
          }));
        } else {
          throw new ConnectError("join one room, then say something", Code.InvalidArgument);
        }
      }
    } finally {
      if (stay !== undefined) leave(stay.room, stay.member);
    }
  };

  return {
    routes(router, server) {
      router.service(ChatService, {
        async *chat(requests, { signal }) {
          const { host, port } = server.address?.announced ?? {};
          const inbox = new Queue<Response>();
          signal.addEventListener("abort", () => inbox.end());
          listen(requests, inbox, `${host}:${port}`).then(
            () => inbox.end(),
            (error) => inbox.fail(error),
          );
          yield* inbox;
        },
      });
    },
    keep(isOursNow) {
      isOurs = isOursNow;
      for (const [room, members] of rooms) {
        if (isOurs(room)) continue;
        rooms.delete(room);
        for (const { inbox } of members) inbox.end();
      }
    },
  };
}
