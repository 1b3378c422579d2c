// A balanced transport over endpoints whose answers a test writes down: what each attempt meets, and what each server was told.

import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { markMaybeProcessed, markUnprocessed, markUnsendable } from "../../src/core/call-fate.ts";
import type { Endpoint } from "../../src/core/endpoint.ts";
import { createManualClock, type ManualClock } from "../../src/testing/manual-clock.ts";
import {
  type BalancedTransport,
  type BalancedTransportOptions,
  createBalancedTransport,
} from "../../src/transport/balanced-transport.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { createHandResolver, endpoint, type HandResolver } from "./endpoints.ts";
import { createFakeConnector, type FakeConnector } from "./fake-connector.ts";

/** What an attempt meets: an answer, or a failure. */
export type Meets =
  | "ok"
  /** Not taken by the connection. */
  | "never-sent"
  /** REFUSED_STREAM. */
  | "refused"
  /** The server answers `unavailable`. */
  | "unavailable"
  /** The server answers `not_found`. */
  | "not-found"
  /** The connection is lost under it. */
  | "cut"
  /** Nothing comes until signal or timeout. */
  | "hang"
  /** The same, before the connection has a free stream for it. */
  | "late-for-its-turn"
  /** The same, but the server answers that the time is over, by a timer that is a millisecond early. */
  | "late-there"
  | { readonly pushback: string; readonly code?: Code };

/** One attempt as its server saw it. */
export interface SeenAttempt {
  readonly id: string;
  readonly atMs: number;
  readonly previous: string | null;
  readonly timeoutMs: number | undefined;
}

export interface ScriptedCalls {
  readonly clock: ManualClock;
  readonly resolver: HandResolver;
  readonly fake: FakeConnector;
  readonly transport: BalancedTransport;
  readonly client: ReturnType<typeof createClient<typeof EchoService>>;
  readonly seen: SeenAttempt[];
  /** What the next attempts meet, wherever they go; "ok" when there is no more. */
  meet(...next: Meets[]): void;
  /** What attempts on one endpoint meet while nothing else is said. */
  readonly always: Map<string, Meets>;
}

/** Connects to all `ids`; the calls that this takes are not seen. */
export async function startScripted(
  ids: readonly string[],
  options: Partial<BalancedTransportOptions> = {},
  hasCaller = true,
): Promise<ScriptedCalls> {
  const clock = createManualClock();
  const endpoints: readonly Endpoint[] = ids.map((id) => endpoint(id));
  const resolver = createHandResolver(endpoints);
  const fake = createFakeConnector(clock, hasCaller);
  const seen: SeenAttempt[] = [];
  let script: Meets[] = [];
  const always = new Map<string, Meets>();
  const transport = createBalancedTransport({
    resolver,
    connector: (to, listener) => {
      const connection = fake.connector(to, listener);
      const { transport } = connection;
      const answers = { ...transport };
      const meetWith = async <R>(
        args: Parameters<Transport["unary"]> | Parameters<Transport["stream"]>,
        go: () => R,
      ) => {
        const [, signal, timeoutMs, header] = args;
        const previous = new Headers(header).get("grpc-previous-rpc-attempts");
        seen.push({ id: to.id, atMs: clock.now(), previous, timeoutMs });
        const meets = script.shift() ?? always.get(to.id) ?? "ok";
        if (meets === "ok") return go();
        if (meets === "hang") return hang(clock, signal, timeoutMs);
        if (meets === "late-there") {
          const early = hang(clock, signal, timeoutMs === undefined ? undefined : timeoutMs - 1);
          return early.catch((error) => Promise.reject(error instanceof ConnectError ? wired(error) : error));
        }
        if (meets === "late-for-its-turn") {
          return hang(clock, signal, timeoutMs).catch((error) => Promise.reject(markUnsendable(error)));
        }
        throw failureOf(meets, connection);
      };
      transport.unary = async (...args) => meetWith(args, () => answers.unary(...args));
      transport.stream = async (...args) => meetWith(args, () => answers.stream(...args));
      return connection;
    },
    clock,
    random: () => 0.5,
    outlierDetection: false,
    ...options,
  });
  const client = createClient(EchoService, transport);
  const first = client.unary({});
  for (const id of ids) fake.of(id).becomeReady();
  if (ids.length > 0) await first;
  else first.catch(() => {});
  seen.length = 0;
  return {
    clock,
    resolver,
    fake,
    transport,
    client,
    seen,
    always,
    meet(...next) {
      script = next;
    },
  };
}

function failureOf(
  meets: Exclude<Meets, "ok" | "hang" | "late-for-its-turn" | "late-there">,
  connection: object,
): ConnectError {
  if (typeof meets === "object") {
    const headers = { "grpc-retry-pushback-ms": meets.pushback };
    return wired(new ConnectError("pushed back", meets.code ?? Code.Unavailable, headers));
  }
  switch (meets) {
    case "never-sent":
      return markUnprocessed(new ConnectError("not taken", Code.Unavailable));
    case "refused":
      return markUnprocessed(new ConnectError("refused", Code.Unavailable), "refused");
    case "unavailable":
      return wired(new ConnectError("try later", Code.Unavailable));
    case "not-found":
      return wired(new ConnectError("nobody", Code.NotFound));
    case "cut":
      return markMaybeProcessed(new ConnectError("the connection was lost", Code.Unavailable), connection);
    default:
      return meets satisfies never;
  }
}

/** As Connect has what came from a server. */
function wired(error: ConnectError): ConnectError {
  error.isWireError = true;
  return error;
}

function hang(clock: ManualClock, signal: AbortSignal | undefined, timeoutMs: number | undefined): Promise<never> {
  return new Promise((_, reject) => {
    const late = () => reject(new ConnectError("the operation timed out", Code.DeadlineExceeded));
    const cancel = timeoutMs === undefined ? () => {} : clock.schedule(timeoutMs, late);
    const onAbort = () => {
      cancel();
      reject(signal?.reason);
    };
    if (signal?.aborted) onAbort();
    else signal?.addEventListener("abort", onAbort, { once: true });
  });
}
