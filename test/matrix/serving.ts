// How each way of serving is proved: by connect-node and curl, neither of which knows lictor.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { createClient, type Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import { HelloService } from "../../gen/HelloService_proto/hello_service_pb.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { askInTurn } from "../support/ask-in-turn.ts";

/** The two servers of a runtime: HelloService as server.ts serves it, and EchoService. */
export interface ServingPair {
  /** HOST:PORT */
  readonly hello: string;
  /** HOST:PORT */
  readonly echo: string;
  /** The name in EchoService's answers. */
  readonly name: string;
}

type Protocol = "gRPC" | "gRPC-Web" | "Connect";

const protocols = { gRPC: createGrpcTransport, "gRPC-Web": createGrpcWebTransport, Connect: createConnectTransport };

/** Calls both servers by one protocol and HTTP version, in the binary format and in JSON: a unary call, and a server's stream. */
export async function proveServing(pair: ServingPair, protocol: Protocol, httpVersion: "1.1" | "2"): Promise<void> {
  for (const useBinaryFormat of [true, false]) {
    const open = <T>(address: string, use: (transport: Transport) => Promise<T>): Promise<T> =>
      withTransport(`http://${address}`, protocol, httpVersion, useBinaryFormat, use);
    const answer = await open(pair.hello, (transport) =>
      createClient(HelloService, transport).sayHello({ name: protocol, num1: 40, num2: 2 }, { timeoutMs: 10_000 }),
    );
    assert.equal(answer.message, `Hello! ${protocol}!This is Server: ${pair.hello}`);
    assert.equal(answer.result, 42);
    const streamed = await open(pair.echo, async (transport) => {
      const order = { text: "s", count: 3 };
      const texts: string[] = [];
      for await (const { text, index, server } of createClient(EchoService, transport).serverStream(order)) {
        texts.push(`${server} ${text}${index}`);
      }
      return texts;
    });
    assert.deepEqual(streamed, [`${pair.name} s0`, `${pair.name} s1`, `${pair.name} s2`]);
  }
}

/** Talks to EchoService both ways over one gRPC stream, each answer before the next question. */
export async function proveBidi(pair: ServingPair): Promise<void> {
  await withTransport(`http://${pair.echo}`, "gRPC", "2", true, async (transport) => {
    assert.deepEqual(await askInTurn(transport, ["a", "b"]), ["a", "b"]);
  });
}

/** Sends SayHello in JSON with curl, over HTTP/1.1: by POST, and by Connect's GET. */
export async function proveJson({ hello }: ServingPair): Promise<void> {
  const url = `http://${hello}/HelloService_proto.HelloService/SayHello`;
  const question = JSON.stringify({ name: "curl", num1: 1, num2: 2 });
  const expected = { message: `Hello! curl!This is Server: ${hello}`, result: 3 };
  const post = ["--header", "content-type: application/json", "--data", question, url];
  const get = ["--get", "--data", "connect=v1&encoding=json", "--data-urlencode", `message=${question}`, url];
  for (const args of [post, get]) {
    const { stdout } = await promisify(execFile)("curl", ["--silent", "--show-error", "--http1.1", "--fail", ...args]);
    assert.deepEqual(JSON.parse(stdout), expected);
  }
}

async function withTransport<T>(
  baseUrl: string,
  protocol: Protocol,
  httpVersion: "1.1" | "2",
  useBinaryFormat: boolean,
  use: (transport: Transport) => Promise<T>,
): Promise<T> {
  if (httpVersion === "1.1") return use(protocols[protocol]({ baseUrl, httpVersion, useBinaryFormat }));
  const sessionManager = new Http2SessionManager(baseUrl);
  try {
    return await use(protocols[protocol]({ baseUrl, httpVersion, sessionManager, useBinaryFormat }));
  } finally {
    sessionManager.abort();
  }
}
