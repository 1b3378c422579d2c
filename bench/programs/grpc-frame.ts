// One gRPC message as bytes, by hand: a flag, four bytes of length, and the message (PROTOCOL-HTTP2.md). For the rows that stand on
// node:http2 alone. Never compresses.

/** The message behind its prefix. */
export function frameMessage(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(5 + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, 5);
  return frame;
}

/** The one message in these pieces of a body; throws unless it is exactly one. */
export function onlyMessage(pieces: readonly Buffer[]): Buffer {
  const body = pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces);
  if (body.length < 5 || body[0] !== 0 || body.readUInt32BE(1) !== body.length - 5) {
    throw new Error(`not one message: ${body.length} bytes`);
  }
  return body.subarray(5);
}
