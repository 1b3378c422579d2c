// gzip and brotli for Bun, Deno and Node: Connect's own, over node:zlib. Decides nothing about when they are used.

import type { Compression } from "@connectrpc/connect/protocol";
import { compressionBrotli, compressionGzip } from "@connectrpc/connect-node";
import { plainBytes } from "../core/plain-bytes.ts";

/** gzip, for `sendCompression` and `acceptCompression`. */
export const gzip: Compression = plain(compressionGzip);

/** Brotli, for `sendCompression` and `acceptCompression`: `br`. Slower than gzip, and smaller; other gRPC programs seldom know it. */
export const brotli: Compression = plain(compressionBrotli);

/** As the compression, but what it unpacks is a Uint8Array and no Buffer: programs see it, in their messages. */
function plain({ name, compress, decompress }: Compression): Compression {
  return {
    name,
    compress,
    decompress: async (bytes, readMaxBytes) => plainBytes(await decompress(bytes, readMaxBytes)),
  };
}
