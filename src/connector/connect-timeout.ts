// Why an attempt to connect was given up. Waits for nothing itself.

/** The server has not said in time that it speaks HTTP/2. */
export class ConnectTimeout extends Error {
  override readonly name = "ConnectTimeout";

  constructor(url: string, timeoutMs: number) {
    super(`no HTTP/2 answer from ${url} in ${timeoutMs} ms`);
  }
}
