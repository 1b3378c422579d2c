// One attempt's fetch, for connect-web: sends to one endpoint, and tells a broken connection and a stranger's answer from what a server of ours says.
// Knows neither Connect's nor gRPC-Web's messages.

import { Code, ConnectError } from "@connectrpc/connect";
import { getAbortSignalReason } from "@connectrpc/connect/protocol";
import { markUnprocessed } from "../core/call-fate.ts";
import { fitGrpcTimeout } from "../core/grpc-timeout.ts";
import { unlessAborted } from "../core/until-settled.ts";
import { describeError } from "../transport/describe-error.ts";
import type { FetchFunction } from "./edge-options.ts";
import { provesNoConnection } from "./no-connection.ts";

/** What was seen of an attempt. */
export interface AttemptFacts {
  /** There was no answer, or its body broke off. */
  broke: boolean;
  /** There was one, but not of a server that speaks the protocol. */
  isForeign: boolean;
}

/** Creates the fetch of one attempt. It writes what it sees into `facts`, and rejects with a ConnectError, or with the reason of the signal. */
export function createEndpointFetch(
  endpointUrl: string,
  isStream: boolean,
  fetch: FetchFunction,
  facts: AttemptFacts,
): typeof globalThis.fetch {
  const broke = (error: unknown, signal: AbortSignal | null | undefined): unknown => {
    if (signal?.aborted) return getAbortSignalReason(signal);
    facts.broke = true;
    const failure = new ConnectError(
      `no answer from ${endpointUrl}: ${describeError(error)}`,
      Code.Unavailable,
      undefined,
      undefined,
      error,
    );
    return provesNoConnection(error) ? markUnprocessed(failure) : failure;
  };

  const send = async (url: string, init: RequestInit): Promise<Response> => {
    const { method = "POST", headers = {}, body, signal } = init;
    const attempt = async <T>(step: () => Promise<T>): Promise<T> => {
      try {
        return await unlessAborted(step(), signal);
      } catch (error) {
        throw broke(error, signal);
      }
    };
    // connect-web asks for `redirect: "error"`, which workerd refuses. Nothing else is sent along either: mode, credentials and cache are
    // not known everywhere, and a fetch of the user's can add them.
    const sent = new Headers(headers);
    const timeout = sent.get("grpc-timeout");
    if (timeout !== null) sent.set("grpc-timeout", fitGrpcTimeout(timeout));
    const answer = await attempt(() =>
      fetch(url, { method, headers: sent, redirect: "manual", ...(body && { body }), ...(signal && { signal }) }),
    );
    if (answer.type === "opaqueredirect" || (answer.status >= 300 && answer.status < 400)) {
      facts.isForeign = true;
      void answer.body?.cancel().catch(() => {});
      throw new ConnectError("the answer is a redirect, which is not followed", Code.Unknown);
    }
    facts.isForeign = !isRpc(answer.headers.get("Content-Type"));
    const { status, headers: answerHeaders } = answer;
    if (answer.body === null || hasNoBody(status)) return new Response(null, { status, headers: answerHeaders });
    if (isStream) {
      const body = watchBody(answer.body, signal, (error) => broke(error, signal));
      return new Response(body, { status, headers: answerHeaders });
    }
    // Read here: what connect-web throws does not tell a body that broke from one that cannot be read.
    const bytes = await attempt(() => answer.arrayBuffer());
    facts.isForeign ||= status !== 200 && isForeignJson(answerHeaders, bytes);
    return new Response(bytes, { status, headers: answerHeaders });
  };
  return send as typeof globalThis.fetch;
}

/** The same bytes; a break is told by `broke`. */
function watchBody(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  signal: AbortSignal | null | undefined,
  broke: (error: unknown) => unknown,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const reader = body.getReader();
  return new ReadableStream(
    {
      async pull(controller) {
        try {
          const { done, value } = await unlessAborted(reader.read(), signal);
          if (done) controller.close();
          else controller.enqueue(value);
        } catch (error) {
          controller.error(broke(error));
        }
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

/** Whether a media type is one of Connect's or gRPC-Web's. https://connectrpc.com/docs/protocol, https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md */
function isRpc(contentType: string | null): boolean {
  return /^application\/(?:(?:connect\+|grpc-web\+)?(?:proto|json)|grpc-web)\s*(?:;|$)/i.test(contentType ?? "");
}

/** A Connect error is a JSON object with a code: https://connectrpc.com/docs/protocol#error-end-stream */
function isForeignJson(headers: Headers, bytes: ArrayBuffer): boolean {
  if (!headers.get("Content-Type")?.startsWith("application/json")) return false;
  try {
    const json: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof json !== "object" || json === null || !("code" in json);
  } catch {
    return true;
  }
}

/** Statuses with which a Response takes no body: https://fetch.spec.whatwg.org/#null-body-status */
function hasNoBody(status: number): boolean {
  return status === 101 || status === 204 || status === 205 || status === 304;
}
