// A method of any service, known by its path alone: its messages pass through unread. Sends nothing.

import type { DescMethodStreaming, DescMethodUnary, DescService } from "@bufbuild/protobuf";
import { EmptySchema, MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";

/** Messages without fields: whatever is in one is unknown, and what is unknown is kept and written again as it was. */
type RawSchema = typeof EmptySchema;

/** The schema of requests and answers. */
export const rawSchema: RawSchema = EmptySchema;

/** A method twice: of the kinds that gRPC's wire tells from each other by nothing, and ours by when messages are read. */
export interface RawMethod {
  readonly unary: DescMethodUnary<RawSchema, RawSchema>;
  readonly stream: DescMethodStreaming<RawSchema, RawSchema>;
}

/** Methods that are kept; a Worker that asks for more of them makes them anew. */
const maxMethods = 1000;
const methods = new Map<string, RawMethod>();

/** The method at a path, `/package.Service/Method`; the same object while it is kept. Undefined for anything else. */
export function rawMethod(path: string): RawMethod | undefined {
  const known = methods.get(path);
  if (known !== undefined) return known;
  const [, typeName, name] = /^\/([\w.]+)\/(\w+)$/.exec(path) ?? [];
  if (typeName === undefined || name === undefined) return undefined;
  const common = {
    kind: "rpc",
    name,
    localName: name,
    parent: {
      kind: "service",
      typeName,
      name: typeName.slice(typeName.lastIndexOf(".") + 1),
      methods: [],
    } as unknown as DescService,
    input: rawSchema,
    output: rawSchema,
    idempotency: MethodOptions_IdempotencyLevel.IDEMPOTENCY_UNKNOWN,
    deprecated: false,
    toString: () => `rpc ${typeName}.${name}`,
  };
  // Whatever else a descriptor has tells of the file that it comes from, which nobody needs for a call.
  const method: RawMethod = {
    unary: { ...common, methodKind: "unary" } as unknown as RawMethod["unary"],
    stream: { ...common, methodKind: "bidi_streaming" } as unknown as RawMethod["stream"],
  };
  if (methods.size >= maxMethods) methods.clear();
  methods.set(path, method);
  return method;
}
