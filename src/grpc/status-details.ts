// google.rpc.Status, which `grpc-status-details-bin` holds, read and written field by field: three fields need no schema.
// https://github.com/googleapis/googleapis/blob/master/google/rpc/status.proto

import { create, toBinary } from "@bufbuild/protobuf";
import { BinaryReader, BinaryWriter, base64Decode, base64Encode, WireType } from "@bufbuild/protobuf/wire";
import type { ConnectError } from "@connectrpc/connect";

/** A detail as it came: the name of its type, and its bytes. */
export interface RawDetail {
  readonly type: string;
  readonly value: Uint8Array;
}

/** What a google.rpc.Status says. */
export interface StatusDetails {
  readonly code: number;
  readonly message: string;
  readonly details: RawDetail[];
}

/** Reads the value of `grpc-status-details-bin`; undefined where it is not one. */
export function readStatusDetails(value: string): StatusDetails | undefined {
  try {
    return readStatus(base64Decode(value));
  } catch {
    // The status itself stands beside it and counts.
    return undefined;
  }
}

/** Writes the value of `grpc-status-details-bin`. Throws what protobuf throws for a detail that cannot be encoded. */
export function writeStatusDetails(error: ConnectError): string {
  const writer = new BinaryWriter().tag(1, WireType.Varint).int32(error.code);
  writer.tag(2, WireType.LengthDelimited).string(error.rawMessage);
  for (const detail of error.details) {
    const { type, value } =
      "desc" in detail
        ? { type: detail.desc.typeName, value: toBinary(detail.desc, create(detail.desc, detail.value)) }
        : detail;
    writer.tag(3, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.LengthDelimited).string(`type.googleapis.com/${type}`);
    writer.tag(2, WireType.LengthDelimited).bytes(value);
    writer.join();
  }
  return base64Encode(writer.finish(), "std_raw");
}

function readStatus(bytes: Uint8Array): StatusDetails {
  const reader = new BinaryReader(bytes);
  const details: RawDetail[] = [];
  let code = 0;
  let message = "";
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 1 && wireType === WireType.Varint) code = reader.int32();
    else if (field === 2 && wireType === WireType.LengthDelimited) message = reader.string();
    else if (field === 3 && wireType === WireType.LengthDelimited) details.push(readDetail(reader.bytes()));
    else reader.skip(wireType, field);
  }
  return { code, message, details };
}

/** A google.protobuf.Any. */
function readDetail(bytes: Uint8Array): RawDetail {
  const reader = new BinaryReader(bytes);
  let url = "";
  let value: Uint8Array = new Uint8Array(0);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 1 && wireType === WireType.LengthDelimited) url = reader.string();
    else if (field === 2 && wireType === WireType.LengthDelimited) value = reader.bytes();
    else reader.skip(wireType, field);
  }
  return { type: url.slice(url.lastIndexOf("/") + 1), value };
}
