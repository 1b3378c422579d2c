// A snapshot source that asks the Durable Object of service-watch-object.ts. Keeps nothing.

import { parseSnapshot, type SnapshotSource } from "./snapshot.ts";

/** The part of Cloudflare's DurableObjectStub that is used. Any other binding or function that reaches the object will do. */
export interface WatchObjectStub {
  /** What the object is known by. Without one every source is its own, and must be kept to find what it has read before. */
  readonly id?: { toString(): string };
  /** For messages; a stub has it where its id was made of a name. */
  readonly name?: string | undefined;
  /** Sends a request to the object. */
  fetch(url: string, init: { readonly signal: AbortSignal }): Promise<WatchObjectResponse>;
}

/** The part of Response that is used. */
export interface WatchObjectResponse {
  readonly status: number;
  /** The whole body. */
  text(): Promise<string>;
}

/**
 * Creates a source over a stub of the class that `serviceWatchObject` makes. Each read is one request to the object, which
 * answers from memory: a `maxAgeMs` of 0 to 1000 shows changes as soon. A stub belongs to the request it was made in, and so does the
 * source; those of one object share a cache's entry. Rejects with an Error that repeats the object's own text, or a TypeError where the answer is no snapshot.
 */
export function createWatchObjectSource(stub: WatchObjectStub): SnapshotSource {
  const description =
    typeof stub.name === "string" ? `the Durable Object ${JSON.stringify(stub.name)}` : "the Durable Object";
  const id = textOf(stub.id);
  return {
    description,
    ...(id !== undefined && { identity: `durable object ${id}` }),
    async read(signal) {
      // The object reads no path; a stub wants a whole URL all the same.
      const response = await stub.fetch("https://durable-object.invalid/", { signal });
      const text = await response.text();
      if (response.status !== 200) {
        throw new Error(
          `Cannot list endpoints as ${description} answered ${response.status}: ${text.trim().slice(0, 1024)}`,
        );
      }
      let json: unknown;
      try {
        json = JSON.parse(text);
      } catch (cause) {
        throw new TypeError(`Cannot list endpoints as the answer of ${description} is no JSON`, { cause });
      }
      return parseSnapshot(json);
    },
  };
}

/** What an id says of itself; undefined where that tells no object from another. A stub of another kind may answer for any property. */
function textOf(id: WatchObjectStub["id"]): string | undefined {
  try {
    const text: unknown = id?.toString();
    return typeof text === "string" && text !== "" && !/^\[object .*\]$/.test(text) ? text : undefined;
  } catch {
    return undefined;
  }
}
