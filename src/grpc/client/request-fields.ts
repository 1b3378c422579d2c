// The headers of requests: what is the same for every call of a method, made once for a connection, and what one call adds.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests

import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { maxTimerMs } from "../../core/clock.ts";
import { fitGrpcTimeout } from "../../core/grpc-timeout.ts";
import type { Http2Connection } from "../../http2/connection.ts";
import type { PreparedFields } from "../../http2/stream.ts";
import { fieldBytes, toFields } from "../metadata.ts";
import { userAgent } from "./user-agent.ts";

/** Bytes of metadata as RFC 9113, section 6.5.2, counts them, that a call may have where the peer names no limit. Most servers take no more. */
const maxMetadataBytes = 60 * 1024;

/** Set by us, or of no sense between these two: dropped from what the caller gives, as browsers drop them. */
const reserved: ReadonlySet<string> = new Set([
  "content-length",
  "content-type",
  "grpc-accept-encoding",
  "grpc-encoding",
  "host",
  "te",
]);

/** What is the same for all calls on a connection. */
export interface RequestFieldsOptions {
  readonly connection: Http2Connection;
  /** Origin of the peer. */
  readonly url: string;
  /** Of grpc-accept-encoding; empty for none. */
  readonly acceptEncoding: string;
  /** Of grpc-encoding; undefined where messages are sent as they are. */
  readonly encoding: string | undefined;
}

/** What one call adds to its method's fields. */
export interface RequestHead {
  readonly prepared: PreparedFields;
  readonly extra: readonly string[] | undefined;
}

interface MethodFields {
  readonly method: DescMethod;
  readonly prepared: PreparedFields;
  readonly bytes: number;
  /** The metadata of the last call, how many calls in a row have had it, and the fields with it once it is worth a place in the peer's table. */
  metadata: readonly string[];
  repeats: number;
  withMetadata: PreparedFields | undefined;
}

/** Methods that are remembered: a proxy's callers may name as many as they like. */
const maxMethods = 1000;

/** Calls with the same metadata after which it is taken to come again. */
const worthPreparing = 8;

export class RequestFields {
  readonly #options: RequestFieldsOptions;
  readonly #scheme: string;
  readonly #authority: string;
  readonly #methods: Map<DescMethod, MethodFields> = new Map();
  #last: MethodFields | undefined;
  /** Most callers use one timeout. */
  #timeoutMs = 0;
  #timeoutFields: readonly string[] = [];

  constructor(options: RequestFieldsOptions) {
    this.#options = options;
    const { protocol, host } = new URL(options.url);
    this.#scheme = protocol.slice(0, -1);
    this.#authority = host;
  }

  /**
   * The fields of a call; `timeoutMs` is more than 0 where there is one. Throws ConnectError: `invalid_argument` for metadata that HTTP/2
   * does not carry, `resource_exhausted` for more of it than the peer takes.
   */
  head(method: DescMethod, timeoutMs: number | undefined, header: HeadersInit | undefined): RequestHead {
    const fields = this.#fieldsOf(method);
    const timeout = timeoutMs === undefined ? undefined : this.#timeout(timeoutMs);
    const { withMetadata } = fields;
    if (withMetadata !== undefined && isRecordOf(header, fields.metadata)) {
      return { prepared: withMetadata, extra: timeout };
    }
    const metadata = toFields(header);
    if (metadata === undefined) return { prepared: fields.prepared, extra: timeout };
    return this.#withMetadata(fields, timeout, metadata);
  }

  #withMetadata(
    fields: MethodFields,
    timeout: readonly string[] | undefined,
    metadata: readonly string[],
  ): RequestHead {
    if (fields.withMetadata !== undefined && isSame(fields.metadata, metadata)) {
      return { prepared: fields.withMetadata, extra: timeout };
    }
    const extra = timeout === undefined ? [] : [...timeout];
    let { prepared } = fields;
    let isOrdinary = true;
    for (let index = 0; index + 1 < metadata.length; index += 2) {
      const name = metadata[index] ?? "";
      const value = metadata[index + 1] ?? "";
      if (reserved.has(name)) {
        isOrdinary = false;
      } else if (name === "grpc-timeout") {
        isOrdinary = false;
        if (timeout === undefined) extra.push(name, fitGrpcTimeout(value));
      } else {
        if (name === "user-agent") {
          isOrdinary = false;
          prepared = this.#withoutUserAgent(prepared);
        }
        extra.push(name, value);
      }
    }
    const bytes = fields.bytes + fieldBytes(extra);
    const most = Math.min(maxMetadataBytes, this.#options.connection.peerMaxHeaderListBytes);
    if (bytes > most) {
      throw new ConnectError(`cannot send ${bytes} bytes of metadata as ${most} is the most`, Code.ResourceExhausted);
    }
    if (isOrdinary) this.#remember(fields, metadata);
    return { prepared, extra };
  }

  /** What comes with one call after another is prepared like the method's own fields. */
  #remember(fields: MethodFields, metadata: readonly string[]): void {
    if (!isSame(fields.metadata, metadata)) {
      fields.metadata = metadata;
      fields.repeats = 0;
      fields.withMetadata = undefined;
    } else if (++fields.repeats >= worthPreparing) {
      fields.withMetadata = this.#options.connection.prepare([...fields.prepared.fields, ...metadata]);
    }
  }

  #timeout(timeoutMs: number): readonly string[] {
    if (timeoutMs !== this.#timeoutMs) {
      const wholeMs = Math.ceil(Math.min(timeoutMs, maxTimerMs));
      this.#timeoutMs = timeoutMs;
      this.#timeoutFields = ["grpc-timeout", fitGrpcTimeout(`${wholeMs}m`)];
    }
    return this.#timeoutFields;
  }

  #fieldsOf(method: DescMethod): MethodFields {
    const last = this.#last;
    if (last !== undefined && last.method === method) return last;
    let known = this.#methods.get(method);
    if (known === undefined) {
      const fields = this.#requestFields(method);
      known = {
        method,
        prepared: this.#options.connection.prepare(fields),
        bytes: fieldBytes(fields),
        metadata: [],
        repeats: 0,
        withMetadata: undefined,
      };
      if (this.#methods.size >= maxMethods) this.#methods.clear();
      this.#methods.set(method, known);
    }
    this.#last = known;
    return known;
  }

  #requestFields(method: DescMethod): string[] {
    const { acceptEncoding, encoding } = this.#options;
    const fields = [":method", "POST", ":scheme", this.#scheme];
    fields.push(":path", `/${method.parent.typeName}/${method.name}`, ":authority", this.#authority);
    fields.push("te", "trailers", "content-type", "application/grpc+proto", "user-agent", userAgent);
    if (encoding !== undefined) fields.push("grpc-encoding", encoding);
    if (acceptEncoding !== "") fields.push("grpc-accept-encoding", acceptEncoding);
    return fields;
  }

  /** Of the one call: who has a name of their own on every call is rare. */
  #withoutUserAgent({ fields }: PreparedFields): PreparedFields {
    const at = fields.indexOf("user-agent");
    return this.#options.connection.prepare(at === -1 ? fields : [...fields.slice(0, at), ...fields.slice(at + 2)]);
  }
}

/** Whether it is a plain object of just these fields, in their order: then they were checked with the call before. */
function isRecordOf(init: HeadersInit | undefined, fields: readonly string[]): boolean {
  if (init === undefined || init === null || Symbol.iterator in init) return false;
  const names = Object.keys(init);
  if (names.length * 2 !== fields.length) return false;
  for (let index = 0; index < names.length; index++) {
    const name = names[index] ?? "";
    if (name !== fields[index * 2] || init[name] !== fields[index * 2 + 1]) return false;
  }
  return true;
}

function isSame(one: readonly string[], other: readonly string[]): boolean {
  if (one.length !== other.length) return false;
  for (let index = 0; index < one.length; index++) if (one[index] !== other[index]) return false;
  return true;
}
