// What a client of EchoService prints after it made every kind of call, whatever it is written in, and what it should be.

/** Codes are gRPC's numbers. */
export interface EchoCalls {
  /** Metadata that was sent as text and as the bytes 00 01 ff, as the headers of the answer had it. */
  readonly metadata: readonly [string | null, string];
  /** How many of 500 small calls at once came back whole. */
  readonly calls: number;
  /** The same of 20 with 1 MiB each. */
  readonly payloads: number;
  /** The same of 20 with 100,000 bytes each, compressed where the client can. */
  readonly zipped: number;
  /** Code, text and metadata of a call that was to fail. */
  readonly failure: readonly [number, string, string | null] | undefined;
  /** Code of a call whose deadline passed. */
  readonly deadline: number;
  /** Code of a stream that was canceled while it was read; tonic has no code for that. */
  readonly canceled?: number;
  /** Code of a call to a method that nobody serves. */
  readonly unknown: number;
  /** How many of 1,000 answers came in order. */
  readonly serverStream: number;
  /** Answers before the failure, and its code. */
  readonly failedStream: readonly [number, number];
  /** How many of 1,000 messages the server got. */
  readonly clientStream: number;
  /** How many of 100 messages were answered, each sent when the one before was. */
  readonly bidi: number;
}

/** What every client should print. */
export const everyCallRight: EchoCalls = {
  metadata: ["value", "0001ff"],
  calls: 500,
  payloads: 20,
  zipped: 20,
  failure: [9, "asked to fail", "yes"],
  deadline: 4,
  canceled: 1,
  unknown: 12,
  serverStream: 1000,
  failedStream: [3, 9],
  clientStream: 1000,
  bidi: 100,
};
