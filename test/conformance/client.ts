// The client under test of the conformance suite: makes the calls it is told of, several at a time, each kind of connection once.
// Argument: whose HTTP/2 it speaks, "lictor" or "node".

import process from "node:process";
import { create } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { compressionGzip } from "@connectrpc/connect-node";
import { createHttp2Connector } from "../../src/connector/http2-connector.ts";
import { createNodeHttp2Connector } from "../../src/connector/node-http2-connector.ts";
import type { Connection } from "../../src/transport/connector.ts";
import {
  type ClientCompatRequest,
  ClientCompatRequestSchema,
  type ClientCompatResponse,
  ClientCompatResponseSchema,
} from "../gen/connectrpc/conformance/v1/client_compat_pb.ts";
import { Compression } from "../gen/connectrpc/conformance/v1/config_pb.ts";
import { ConformanceService } from "../gen/connectrpc/conformance/v1/service_pb.ts";
import { endpoint } from "../support/endpoints.ts";
import { makeCall } from "./conformance-call.ts";
import { readHttp2Kind } from "./http2-kind.ts";
import { readMessages, writeMessage } from "./message-pipe.ts";

/** Enough to have streams beside each other, few enough for calls whose outcome depends on 5 ms. */
const maxCalls = 16;

const kind = readHttp2Kind(process.argv[2]);
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
  const { host, port, messageReceiveLimit, compression, clientTlsCreds } = request;
  const key = [host, port, messageReceiveLimit, compression, clientTlsCreds?.cert.length].join();
  let connection = connections.get(key);
  if (connection === undefined) {
    connection = connect(request);
    connections.set(key, connection);
  }
  return createClient(ConformanceService, (await connection).transport);
}

/** Resolves when the connection can carry calls. */
function connect(request: ClientCompatRequest): Promise<Connection> {
  const { host, port, serverTlsCert } = request;
  const connector = createConnector(request);
  return new Promise((resolve, reject) => {
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

function createConnector({ messageReceiveLimit, serverTlsCert, clientTlsCreds, compression }: ClientCompatRequest) {
  const text = new TextDecoder();
  const options = {
    ...(messageReceiveLimit > 0 && { maxReceiveBytes: messageReceiveLimit }),
    tls: {
      ...(serverTlsCert.length > 0 && { ca: text.decode(serverTlsCert) }),
      ...(clientTlsCreds !== undefined && {
        cert: text.decode(clientTlsCreds.cert),
        key: text.decode(clientTlsCreds.key),
      }),
    },
  };
  if (kind === "node") return createNodeHttp2Connector(options);
  const zips = compression === Compression.GZIP;
  return createHttp2Connector({ ...options, ...(zips && { sendCompression: compressionGzip, compressMinBytes: 0 }) });
}
