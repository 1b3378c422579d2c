// A conversation over one stream of EchoService, each question asked when the one before has been answered.

import { createClient, type Transport } from "@connectrpc/connect";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";

/** Asks the questions in turn; resolves to the texts of the answers. Waits for ever where answers are held back. */
export async function askInTurn(transport: Transport, questions: readonly string[]): Promise<string[]> {
  let answered = Promise.withResolvers<void>();
  const asked = (async function* () {
    for (const text of questions) {
      answered = Promise.withResolvers<void>();
      yield { text };
      await answered.promise;
    }
  })();
  const texts: string[] = [];
  for await (const { text } of createClient(EchoService, transport).bidi(asked)) {
    texts.push(text);
    answered.resolve();
  }
  return texts;
}
