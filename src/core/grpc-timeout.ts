// The header grpc-timeout, as Connect writes it and as gRPC allows it. Reads no clock.

/**
 * Rewrites a `grpc-timeout` of more than eight digits of milliseconds, which Connect writes and servers refuse, in whole seconds,
 * rounded down: the longest that a timer of ours can wait stays one that a server's can. Leaves every other text as it is.
 * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests
 */
export function fitGrpcTimeout(text: string): string {
  const [, milliseconds] = /^(\d{9,})m$/.exec(text) ?? [];
  return milliseconds === undefined ? text : `${Math.floor(Number(milliseconds) / 1000)}S`;
}
