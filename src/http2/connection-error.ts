// An offence that ends the connection. Thrown inside the engine only: it becomes a GOAWAY and an `onError`.

import { ErrorCode } from "./error-code.ts";

/** RFC 9113, section 5.4.1. */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";
  /** One of ErrorCode. */
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** PROTOCOL_ERROR, to be thrown. */
export function protocolError(reason: string): ConnectionError {
  return new ConnectionError(ErrorCode.protocolError, reason);
}

/** FRAME_SIZE_ERROR, to be thrown. */
export function frameSizeError(reason: string): ConnectionError {
  return new ConnectionError(ErrorCode.frameSizeError, reason);
}
