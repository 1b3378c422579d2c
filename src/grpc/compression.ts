// Which compression a call uses, and gzip by the platform's streams where there is no zlib. Knows no headers, only their values.
// https://github.com/grpc/grpc/blob/master/doc/compression.md

import { Code, ConnectError } from "@connectrpc/connect";
import type { Compression } from "@connectrpc/connect/protocol";
import { joinBytes } from "../core/join-bytes.ts";

/** Messages smaller than this are sent as they are, unless the user says otherwise; in bytes. */
export const defaultCompressMinBytes = 1024;

/** Whether a value is a compression, whose name can stand in a header. */
export function isCompression(value: unknown): value is Compression {
  if (typeof value !== "object" || value === null) return false;
  const { name, compress, decompress } = value as Partial<Record<keyof Compression, unknown>>;
  const isName = typeof name === "string" && /^[\w.+-]+$/.test(name);
  return isName && typeof compress === "function" && typeof decompress === "function";
}

/** The compression called `name`; undefined where it is not in the list. */
export function findCompression(list: readonly Compression[], name: string): Compression | undefined {
  for (const compression of list) if (compression.name === name) return compression;
  return undefined;
}

/** Whether a peer that accepts `accepted` (the value of grpc-accept-encoding) takes what the compression called `name` made. */
export function takesCompression(accepted: string, name: string): boolean {
  return accepted.split(",").some((one) => one.trim() === name);
}

/** The names of a list, as grpc-accept-encoding has them. */
export function compressionNames(list: readonly Compression[]): string {
  return list.map(({ name }) => name).join(",");
}

/** gzip by CompressionStream and DecompressionStream, for platforms without node:zlib. The limit holds while it inflates. */
export const streamGzip: Compression = {
  name: "gzip",
  compress: (bytes) => through(new CompressionStream("gzip"), bytes, Number.POSITIVE_INFINITY),
  async decompress(bytes, readMaxBytes) {
    // As gRPC has it: an empty message stays one, whatever its flag says.
    if (bytes.length === 0) return new Uint8Array(0);
    try {
      return await through(new DecompressionStream("gzip"), bytes, readMaxBytes);
    } catch (error) {
      if (error instanceof ConnectError) throw error;
      throw new ConnectError("decompression failed", Code.InvalidArgument, undefined, undefined, error);
    }
  },
};

async function through(
  stream: CompressionStream | DecompressionStream,
  bytes: Uint8Array,
  maxBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const writer = stream.writable.getWriter();
  // What fails here fails the reading side too, which is where it is told.
  const ignore = (): void => {};
  writer.write(bytes as Uint8Array<ArrayBuffer>).catch(ignore);
  writer.close().catch(ignore);
  const reader = stream.readable.getReader();
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > maxBytes) {
      reader.cancel().catch(ignore);
      throw new ConnectError(
        `message is larger than configured readMaxBytes ${maxBytes} after decompression`,
        Code.ResourceExhausted,
      );
    }
    chunks.push(value);
  }
  return joinBytes(chunks, length);
}
