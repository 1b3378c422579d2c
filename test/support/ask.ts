// One plain HTTP request over the HTTP version of choice, with every header as it was sent: fetch keeps some to itself.

import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { call, openSession } from "./http2-call.ts";

/** What is asked. */
export interface Question {
  /** Default GET. */
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

/** What came back, whole. */
export interface Answer {
  readonly status: number;
  /** By lower-case name; values of one name are joined by ", ". */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  readonly text: string;
}

export type HttpVersion = "HTTP/1.1" | "HTTP/2";

/** Asks for a path of `url` on a connection of its own. `ca` is what a server's certificate is held against. */
export async function ask(
  url: string,
  version: HttpVersion,
  path: string,
  { method = "GET", headers = {}, body = "" }: Question = {},
  ca?: string,
): Promise<Answer> {
  const bytes = Buffer.from(body);
  if (version === "HTTP/1.1") return askHttp1(new URL(path, url), { method, headers, body: bytes }, ca);
  const session = await openSession(url, ca === undefined ? {} : { ca });
  try {
    const answer = await call(session, { ":method": method, ":path": path, ...headers }, bytes);
    if (answer.status === undefined) throw answer.error ?? new Error("no answer");
    return toAnswer(answer.status, answer.headers, answer.body);
  } finally {
    session.destroy();
  }
}

function askHttp1(
  url: URL,
  { method, headers, body }: { method: string; headers: Readonly<Record<string, string>>; body: Buffer },
  ca: string | undefined,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = { method, headers: { ...headers, connection: "close" }, agent: false, ca };
    const request = (url.protocol === "https:" ? requestHttps : requestHttp)(url, options, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => resolve(toAnswer(response.statusCode ?? 0, response.headers, Buffer.concat(chunks))));
    });
    request.on("error", reject);
    request.end(body.length > 0 ? body : undefined);
  });
}

function toAnswer(
  status: number,
  received: Readonly<Record<string, string | number | readonly string[] | undefined>>,
  body: Buffer,
): Answer {
  const headers = Object.fromEntries(
    Object.entries(received).flatMap(([name, value]) =>
      value === undefined || name.startsWith(":") ? [] : [[name, [value].flat().join(", ")]],
    ),
  );
  return { status, headers, body, text: body.toString() };
}
