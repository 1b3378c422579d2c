// One HTTP/2 request by node:http2, with every fact of its end that a test of GOAWAY and RST_STREAM wants to know.
// Reads by events: the runtimes' stream iterators lose data when a stream closes early.

import * as http2 from "node:http2";

/** What came back. */
export interface Http2Answer {
  readonly status: number | undefined;
  readonly headers: http2.IncomingHttpHeaders;
  readonly trailers: http2.IncomingHttpHeaders;
  readonly body: Buffer;
  /** HTTP/2 code that the stream was closed with; 0 is an orderly end. */
  readonly rstCode: number;
  readonly error: Error | undefined;
}

/** Opens a session; resolves when connected. Its errors are swallowed: the streams tell them. */
export async function openSession(
  url: string,
  options: http2.SecureClientSessionOptions = {},
): Promise<http2.ClientHttp2Session> {
  const session = http2.connect(url, options);
  session.on("error", () => {});
  await new Promise<void>((resolve, reject) => {
    session.once("connect", () => resolve());
    session.once("error", reject);
  });
  return session;
}

/** Sends a request and resolves when its stream is closed, however it ended. `end: false` leaves the request open. */
export function call(
  session: http2.ClientHttp2Session,
  headers: http2.OutgoingHttpHeaders,
  body: Uint8Array = new Uint8Array(0),
  { end = true }: { readonly end?: boolean } = {},
): Promise<Http2Answer> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let answered: http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader = {};
    let trailers: http2.IncomingHttpHeaders = {};
    let error: Error | undefined;
    const settle = (rstCode: number) =>
      resolve({
        status: answered[":status"],
        headers: answered,
        trailers,
        body: Buffer.concat(chunks),
        rstCode,
        error,
      });
    let stream: http2.ClientHttp2Stream;
    try {
      stream = session.request(headers, { endStream: false });
    } catch (cause) {
      error = cause as Error;
      settle(http2.constants.NGHTTP2_REFUSED_STREAM);
      return;
    }
    stream.on("response", (received) => {
      answered = received;
    });
    stream.on("trailers", (received) => {
      trailers = received;
    });
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("error", (cause) => {
      error = cause;
    });
    stream.on("close", () => settle(stream.rstCode ?? 0));
    if (body.length > 0) stream.write(body);
    if (end) stream.end();
  });
}

/** Headers of a gRPC call. */
export function grpcHeaders(path: string, extra: http2.OutgoingHttpHeaders = {}): http2.OutgoingHttpHeaders {
  return { ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers", ...extra };
}

/** A gRPC message frame: no compression, length, bytes. */
export function grpcFrame(message: Uint8Array): Uint8Array {
  const frame = Buffer.alloc(5 + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, 5);
  return frame;
}
