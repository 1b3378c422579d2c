// A client of the chaos suite: keeps up a load on ChaosService, found in Consul, and writes every call and every result into a ledger.
// Rivals take the same arguments and keep the same ledger.
//
//   chaos-client.ts --consul ADDRESS --service NAME --ledger FILE --prefix TEXT [--mix plain=4,idempotent=3,...] [--timeout MS] [--delay MS]
//                   [--rate CALLS_A_SECOND | --concurrency N] [--seed N] [--store FOLDER] [--options JSON]
//                   [--poll MS]
//
// Prints "ready" when it is loaded and "ended" when its last call has. Takes orders on stdin, a line each:
//   go       begins to call
//   stop     begins no more calls; ends the process, with 0, when those under way have ended
//   sample   prints what it holds: "sample JSON"
// With --rate calls begin on time, whatever became of those before (an open loop), so that no wait hides another; with --concurrency so
// many are always under way. With --poll it looks for servers every so often, as the original's client does, in place of blocking queries.

import process from "node:process";
import { type CallOptions, ConnectError, createClient } from "@connectrpc/connect";
import { codeToString } from "@connectrpc/connect/protocol-connect";
import { callFate, createBalancedTransport, createConsulTransport, createHttp2Connector } from "../../src/index.ts";
import { fileStore } from "../../src/runtime/file-store.ts";
import { ChaosService } from "../gen/lictor/chaos/v1/chaos_pb.ts";
import type { ChaosMethod } from "./ledger.ts";
import { keepLoad, readLoadArguments, streamLength } from "./load.ts";
import { pollConsul } from "./polling-resolver.ts";
import { createProgramLogger } from "./program.ts";

const args = readLoadArguments();
// One address, or several of one cluster with commas between.
const agents = args.consul.split(",");
const common = { logger: createProgramLogger(), ...args.options };
const transport =
  args.pollMs > 0
    ? createBalancedTransport({
        ...common,
        resolver: await pollConsul(args.consul, args.service, args.pollMs),
        connector: createHttp2Connector(),
      })
    : createConsulTransport({
        ...common,
        service: args.service,
        consul: agents.length === 1 ? args.consul : { address: agents },
        ...(args.store === "" ? {} : { store: fileStore(args.store) }),
      });
const client = createClient(ChaosService, transport);

/** How each method is called; resolves with who answered, undefined where the answer is not the call's. */
type Make = (id: string, delayMs: number, options: CallOptions) => Promise<string | undefined>;

const make: Readonly<Record<ChaosMethod, Make>> = {
  plain: async (id, delayMs, options) => (await client.plain({ id, delayMs }, options)).server,
  idempotent: async (id, delayMs, options) => (await client.idempotent({ id, delayMs }, options)).server,
  safe: async (id, delayMs, options) => (await client.safe({ id, delayMs }, options)).server,
  down: (id, delayMs, options) => readStream(client.down({ id, delayMs, count: streamLength }, options)),
  async up(id, delayMs, options) {
    const { server, count } = await client.up(messages(id, delayMs), options);
    return count === streamLength ? server : undefined;
  },
  both: (id, delayMs, options) => readStream(client.both(messages(id, delayMs), options)),
};

await keepLoad(args, async ({ method, id, delayMs, timeoutMs }) => {
  try {
    const server = await make[method](id, delayMs, { timeoutMs });
    return { outcome: server === undefined ? "wrong" : "ok", fate: "-", server: server ?? "-", text: "" };
  } catch (error) {
    const outcome = codeToString(ConnectError.from(error).code);
    return { outcome, fate: callFate(error), server: "-", text: whole(error) };
  }
});
await transport.close();
process.stdout.write("ended\n");
process.exit(0);

async function readStream(
  answers: AsyncIterable<{ readonly server: string; readonly index: number }>,
): Promise<string | undefined> {
  let received = 0;
  let from: string | undefined;
  for await (const { server, index } of answers) {
    if (index !== received++) return undefined;
    from = server;
  }
  return received === streamLength ? from : undefined;
}

async function* messages(id: string, delayMs: number): AsyncGenerator<{ id: string; delayMs: number }> {
  for (let index = 0; index < streamLength; index++) {
    if (index > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
    yield { id, delayMs };
  }
}

/** The message, and those of what caused it. */
function whole(error: unknown): string {
  const messages: string[] = [];
  for (let at = error; at instanceof Error && messages.length < 4; at = at.cause) messages.push(at.message);
  return messages.length === 0 ? String(error) : messages.join(" <- ");
}
