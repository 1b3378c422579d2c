// The server under test of the conformance suite: says where it serves, and serves until SIGTERM. Argument: whose HTTP/2 it speaks,
// "lictor" or "node".

import process from "node:process";
import { create } from "@bufbuild/protobuf";
import { closeOnSignal } from "../../src/runtime/close-on-signal.ts";
import { serve } from "../../src/server/serve.ts";
import {
  ServerCompatRequestSchema,
  ServerCompatResponseSchema,
} from "../gen/connectrpc/conformance/v1/server_compat_pb.ts";
import { routeConformance } from "./conformance-service.ts";
import { readHttp2Kind } from "./http2-kind.ts";
import { readMessages, writeMessage } from "./message-pipe.ts";

const http2 = readHttp2Kind(process.argv[2]);
for await (const request of readMessages(ServerCompatRequestSchema, process.stdin)) {
  const { useTls, serverCreds, clientTlsCert, messageReceiveLimit } = request;
  if (useTls && serverCreds === undefined) throw new Error("Cannot serve TLS as the suite gave no certificate");
  const server = serve({
    routes: routeConformance,
    http2,
    ...(messageReceiveLimit > 0 && { maxReceiveBytes: messageReceiveLimit }),
    ...(serverCreds !== undefined && {
      tls: {
        cert: serverCreds.cert,
        key: serverCreds.key,
        ...(clientTlsCert.length > 0 && { ca: clientTlsCert, requireClientCert: true }),
      },
    }),
    graceMs: 100,
  });
  closeOnSignal(server);
  const { host, port } = await server.ready;
  const pemCert = serverCreds?.cert ?? new Uint8Array();
  writeMessage(ServerCompatResponseSchema, process.stdout, create(ServerCompatResponseSchema, { host, port, pemCert }));
  break;
}
