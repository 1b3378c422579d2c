// The header grpc-timeout, as Connect writes it and as gRPC allows it:
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests. Reads no clock.

/** Milliseconds in a TimeoutUnit, by its character's code; undefined for what is none. */
export function timeoutUnitMs(code: number): number | undefined {
  switch (code) {
    case 72: // H
      return 3_600_000;
    case 77: // M
      return 60_000;
    case 83: // S
      return 1000;
    case 109: // m
      return 1;
    case 117: // u
      return 0.001;
    case 110: // n
      return 0.000_001;
    default:
      return undefined;
  }
}

/**
 * Rewrites a `grpc-timeout` of more than eight digits of milliseconds, which Connect writes and servers refuse, in whole seconds,
 * rounded down: the longest that a timer of ours can wait stays one that a server's can. Leaves every other text as it is.
 */
export function fitGrpcTimeout(text: string): string {
  const [, milliseconds] = /^(\d{9,})m$/.exec(text) ?? [];
  return milliseconds === undefined ? text : `${Math.floor(Number(milliseconds) / 1000)}S`;
}
