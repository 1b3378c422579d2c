// A connection that counts its calls, around one that does not. Each call costs a promise more; makes no calls itself.

import type { DescMessage, DescMethodUnary, MessageInitShape } from "@bufbuild/protobuf";
import type { StreamResponse, Transport, UnaryResponse } from "@connectrpc/connect";
import type { CallSignal } from "../../core/call-signal.ts";
import { type Clock, systemClock } from "../../core/clock.ts";
import { deadlineQueueOf } from "../../core/deadline-queue.ts";
import type { Endpoint } from "../../core/endpoint.ts";
import { StreamEnd } from "../call/stream-end.ts";
import { tellOfEnd } from "../call/streams.ts";
import type { CallCounts, Connection, ConnectionState, UnaryCaller } from "../connector.ts";

class Counts implements CallCounts {
  ok = 0;
  active = 0;
  unaryActive = 0;
  unaryEnded = 0;

  endUnary(isOk: boolean): void {
    if (isOk) this.ok++;
    this.active--;
    this.unaryActive--;
    this.unaryEnded++;
  }
}

class CountedConnection implements Connection {
  readonly endpoint: Endpoint;
  readonly transport: Transport;
  readonly caller?: UnaryCaller;
  readonly counts: CallCounts;
  readonly ping?: (onAnswer: () => void) => void;
  readonly #connection: Connection;

  constructor(connection: Connection, clock: Clock) {
    const counts = new Counts();
    this.#connection = connection;
    this.endpoint = connection.endpoint;
    this.counts = counts;
    this.transport = countedTransport(connection.transport, counts, clock);
    const { caller } = connection;
    if (caller !== undefined) this.caller = countedCaller(caller, counts);
    if (connection.ping !== undefined) this.ping = (onAnswer) => connection.ping?.(onAnswer);
  }

  get state(): ConnectionState {
    return this.#connection.state;
  }

  connect(): void {
    this.#connection.connect();
  }

  drain(): Promise<void> {
    return this.#connection.drain();
  }

  close(reason?: unknown): Promise<void> {
    return this.#connection.close(reason);
  }
}

/** The connection itself where it counts, else one around it that does. */
export function countedConnection(
  connection: Connection,
  clock: Clock = systemClock,
): Connection & { readonly counts: CallCounts } {
  const { counts } = connection;
  return counts === undefined
    ? new CountedConnection(connection, clock)
    : (connection as Connection & { counts: CallCounts });
}

function countedTransport(transport: Transport, counts: Counts, clock: Clock): Transport {
  const deadlines = deadlineQueueOf(clock);
  return {
    unary(...call) {
      begin(counts);
      return noted(counts, transport.unary(...call));
    },
    async stream(...call) {
      counts.active++;
      let response: StreamResponse<(typeof call)[0]["input"], (typeof call)[0]["output"]>;
      try {
        response = await transport.stream(...call);
      } catch (error) {
        counts.active--;
        throw error;
      }
      const [, signal, timeoutMs = 0] = call;
      // Whoever gives up need not read on.
      const end = new StreamEnd(deadlines, signal, (error) => {
        counts.active--;
        if (error === undefined) counts.ok++;
      });
      if (timeoutMs > 0) deadlines.add(end, timeoutMs);
      // Not a copy: its header and trailer may be made when somebody looks at them.
      return Object.assign(response, { message: tellOfEnd(response.message, end) }) as never;
    },
  };
}

function countedCaller(caller: UnaryCaller, counts: Counts): UnaryCaller {
  return {
    unaryCall<I extends DescMessage, O extends DescMessage>(
      method: DescMethodUnary<I, O>,
      signal: CallSignal | undefined,
      timeoutMs: number | undefined,
      header: HeadersInit | undefined,
      input: MessageInitShape<I>,
      recourse: Parameters<typeof caller.unaryCall<I, O>>[5],
    ): Promise<UnaryResponse<I, O>> {
      begin(counts);
      let isOver = false;
      const end = (isOk: boolean) => {
        if (!isOver) counts.endUnary(isOk);
        isOver = true;
      };
      const answer = caller.unaryCall(method, signal, timeoutMs, header, input, (error, remainingMs) => {
        // What it ends with instead is another connection's.
        end(false);
        return recourse(error, remainingMs);
      });
      answer.then(
        () => end(true),
        () => end(false),
      );
      return answer;
    },
  };
}

function begin(counts: Counts): void {
  counts.active++;
  counts.unaryActive++;
}

function noted<T>(counts: Counts, answer: Promise<T>): Promise<T> {
  answer.then(
    () => counts.endUnary(true),
    () => counts.endUnary(false),
  );
  return answer;
}
