// Row connect-node, client: createGrpcTransport, one a server, in turn.

import { createGrpcTransport } from "@connectrpc/connect-node";
import { createConnectCaller, inTurn } from "./connect-caller.ts";
import { runClient } from "./protocol.ts";

await runClient(({ targets }) =>
  createConnectCaller(inTurn(targets.map((target) => createGrpcTransport({ baseUrl: `http://${target}` })))),
);
