// The client under test of the conformance suite: makes the calls it is told of, several at a time, each kind of connection once.
// Argument: the connector, "lictor" or "node"; without one, lictor's.

import process from "node:process";
import { create } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { createNodeHttp2Connector } from "../../src/connector/node-http2-connector.ts";
import type { Connection, Connector } from "../../src/transport/connector.ts";
import {
  type ClientCompatRequest,
  ClientCompatRequestSchema,
  type ClientCompatResponse,
  ClientCompatResponseSchema,
} from "../gen/connectrpc/conformance/v1/client_compat_pb.ts";
import { ConformanceService } from "../gen/connectrpc/conformance/v1/service_pb.ts";
import { endpoint } from "../support/endpoints.ts";
import { makeCall } from "./conformance-call.ts";
import { readMessages, writeMessage } from "./message-pipe.ts";

/** Enough to have streams beside each other, few enough for calls whose outcome depends on 5 ms. */
const maxCalls = 16;

/** Connections by what is asked of them. */
const connections = new Map<string, Promise<Connection>>();
const underWay = new Set<Promise<void>>();
for await (const request of readMessages(ClientCompatRequestSchema, process.stdin)) {
  const call = answer(request).then((response) => {
    writeMessage(ClientCompatResponseSchema, process.stdout, response);
    underWay.delete(call);
  });
  underWay.add(call);
  if (underWay.size >= maxCalls) await Promise.race(underWay);
}
await Promise.all(underWay);
for (const connection of connections.values()) await (await connection).close();

async function answer(request: ClientCompatRequest): Promise<ClientCompatResponse> {
  const { testName } = request;
  try {
    const result = await makeCall(request, await clientFor(request));
    return create(ClientCompatResponseSchema, { testName, result: { case: "response", value: result } });
  } catch (error) {
    const message = error instanceof Error ? `${error.message}\n${error.stack}` : String(error);
    return create(ClientCompatResponseSchema, { testName, result: { case: "error", value: { message } } });
  }
}

async function clientFor(request: ClientCompatRequest): Promise<Client<typeof ConformanceService>> {
  const key = [request.host, request.port, request.messageReceiveLimit, request.clientTlsCreds?.cert.length].join();
  let connection = connections.get(key);
  if (connection === undefined) {
    connection = connect(request);
    connections.set(key, connection);
  }
  return createClient(ConformanceService, (await connection).transport);
}

/** Resolves when the connection can carry calls. */
function connect({ host, port, messageReceiveLimit, serverTlsCert, clientTlsCreds }: ClientCompatRequest) {
  const text = new TextDecoder();
  const connector = createConnector({
    ...(messageReceiveLimit > 0 && { maxReceiveBytes: messageReceiveLimit }),
    tls: {
      ...(serverTlsCert.length > 0 && { ca: text.decode(serverTlsCert) }),
      ...(clientTlsCreds !== undefined && {
        cert: text.decode(clientTlsCreds.cert),
        key: text.decode(clientTlsCreds.key),
      }),
    },
  });
  return new Promise<Connection>((resolve, reject) => {
    const scheme = serverTlsCert.length > 0 ? "https" : "http";
    const connection = connector(endpoint(`${host}:${port}`, { url: `${scheme}://${host}:${port}` }), {
      onState(state) {
        if (state.type === "ready") resolve(connection);
        if (state.type === "closed") reject(state.reason);
      },
    });
    connection.connect();
  });
}

function createConnector(options: Parameters<typeof createNodeHttp2Connector>[0]): Connector {
  const name = process.argv[2] ?? "node";
  if (name === "node") return createNodeHttp2Connector(options);
  throw new TypeError(`Cannot connect as the connector must be "lictor" or "node": received ${name}`);
}
