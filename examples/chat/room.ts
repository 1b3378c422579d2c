// A client's stay in a room: joins again whenever its stream ends, and says again what was not heard. Prints nothing.

import { setTimeout as sleep } from "node:timers/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { type ChatRequestSchema, type ChatResponse, ChatService } from "./gen/example/chat/v1/chat_pb.ts";
import { Queue } from "./queue.ts";

type Request = MessageInitShape<typeof ChatRequestSchema>;

export interface RoomOptions {
  /** Goes to the room's server: see `pinTo`. Whoever made it closes it. */
  readonly transport: Transport;
  readonly room: string;
  readonly name: string;
  readonly onResponse: (response: ChatResponse) => void;
  /** Told when the stream has ended and before it is joined again; without an error where the server ended it cleanly. */
  readonly onAway?: (error?: ConnectError) => void;
}

export interface Room {
  /** Says it now, or once there is a stream again. At least once: a server that dies may have told others before we heard it. */
  say(text: string): void;
  /** Leaves when all that was said is sent. Resolves when the stream has ended. */
  leave(): Promise<void>;
  /** Resolves when the stay is over; rejects where joining again cannot help. */
  readonly over: Promise<void>;
}

export function enterRoom({ transport, room, name, onResponse, onAway }: RoomOptions): Room {
  const client = createClient(ChatService, transport);
  const cancel = new AbortController();
  const unheard: string[] = [];
  let requests = new Queue<Request>();
  let leaving = false;

  const stay = async (): Promise<void> => {
    while (!leaving) {
      requests = new Queue();
      requests.push({ action: { case: "join", value: { room, name } } });
      for (const text of unheard) requests.push(saying(text));
      try {
        for await (const response of client.chat(requests, { signal: cancel.signal })) {
          if (response.event.case === "said" && response.event.value.yours) unheard.shift();
          onResponse(response);
        }
        if (!leaving) onAway?.();
      } catch (reason) {
        const error = ConnectError.from(reason);
        if (error.code === Code.InvalidArgument) throw error;
        if (!leaving) onAway?.(error);
      } finally {
        requests.end();
      }
      // Everyone in the room comes back now, and servers hear of each other a little later than we do.
      if (!leaving) await sleep(50 + Math.random() * 200);
    }
  };
  const over = stay();

  return {
    say(text) {
      unheard.push(text);
      requests.push(saying(text));
    },
    async leave() {
      leaving = true;
      requests.end();
      // A server that does not answer must not keep us.
      const timer = setTimeout(() => cancel.abort(), 2000);
      await over.finally(() => clearTimeout(timer));
    },
    over,
  };
}

function saying(text: string): Request {
  return { action: { case: "say", value: { text } } };
}
