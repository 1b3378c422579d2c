// Headers and errors, as Connect has them and as the suite's messages have them.

import { create } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { type Code, ConnectError } from "@connectrpc/connect";
import {
  type Error as ErrorMessage,
  ErrorSchema,
  type Header,
  HeaderSchema,
} from "../gen/connectrpc/conformance/v1/service_pb.ts";

/** Adds fields, every value of each. */
export function addHeaders(target: Headers, fields: readonly Header[]): void {
  for (const { name, value } of fields) for (const one of value) target.append(name, one);
}

/** Several values of a name stay one, joined by commas: the suite takes them apart. */
export function toHeaderMessages(pairs: Iterable<readonly [string, string]>): Header[] {
  return Array.from(pairs, ([name, value]) => create(HeaderSchema, { name, value: [value] }));
}

/** The error that a definition asks for. */
export function toConnectError({ message = "", code, details }: ErrorMessage): ConnectError {
  // Both count the codes as gRPC does.
  const error = new ConnectError(message, code as number as Code);
  error.details = details.map(({ typeUrl, value }) => ({ type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1), value }));
  return error;
}

/** The error that a call failed with. */
export function toErrorMessage(error: ConnectError): ErrorMessage {
  return create(ErrorSchema, {
    code: error.code as number as ErrorMessage["code"],
    message: error.rawMessage,
    details: error.details.map((detail) =>
      "desc" in detail
        ? anyPack(detail.desc, create(detail.desc, detail.value))
        : { typeUrl: `type.googleapis.com/${detail.type}`, value: detail.value },
    ),
  });
}
