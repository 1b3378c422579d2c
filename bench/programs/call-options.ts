// What every row's calls carry and how every row's answers are checked, so that none does less than another.

/** Deadline of a unary call. */
export const callTimeoutMs = 5000;
/** Deadline of a streaming call. */
export const streamTimeoutMs = 60_000;
/** The one metadata entry. */
export const metadataName = "x-bench";
export const metadataValue = "lictor";
/** Messages of a chat that may be under way unanswered; the same in every program. */
export const chatWindow = 256;

/** The fields of HelloRequest. */
export function helloRequest(index: number): { name: string; num1: number; num2: number } {
  return { name: "bench", num1: index, num2: 7 };
}

/** Returns the message of a right answer to `helloRequest(index)`; throws on any other. */
export function checkHello(answer: { readonly message: string; readonly result: number }, index: number): string {
  if (answer.result !== index + 7 || !answer.message.startsWith("Hello! bench!This is Server: ")) {
    throw new Error(`wrong answer to SayHello: ${JSON.stringify(answer)}`);
  }
  return answer.message;
}

const payloads = new Map<number, Uint8Array<ArrayBuffer>>();

/** As many bytes, always the same ones: making them is not what is measured. */
export function payloadOf(bytes: number): Uint8Array<ArrayBuffer> {
  let payload = payloads.get(bytes);
  if (payload === undefined) {
    payload = Uint8Array.from({ length: bytes }, (_, index) => index & 0xff);
    payloads.set(bytes, payload);
  }
  return payload;
}

/** Throws unless the payload is `payloadOf(bytes)`, by its length and its last byte. */
export function checkPayload(payload: Uint8Array, bytes: number): void {
  if (payload.length !== bytes || payload[bytes - 1] !== ((bytes - 1) & 0xff)) {
    throw new Error(`wrong payload: ${payload.length} bytes for ${bytes}`);
  }
}

/** Throws where a stream of equal messages was not as long as was asked for. */
export function checkCount(received: number, messages: number): void {
  if (received !== messages) throw new Error(`${received} messages for ${messages}`);
}
