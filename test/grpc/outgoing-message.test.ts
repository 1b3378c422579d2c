// Messages with a large `bytes` field, which protobuf-es does not write: what readers get must be what it would have written.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create, createFileRegistry, type DescMessage, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import {
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
} from "@bufbuild/protobuf/wkt";
import { LargeMessage, toOutgoing, wholeBytes } from "../../src/grpc/outgoing-message.ts";

type Fields = Record<string, unknown>;

const large: Uint8Array = new Uint8Array(4096).map((_, index) => index);
const small: Uint8Array = large.subarray(0, 4095);

/** A message with bytes fields of one kind each, of numbers whose tags have one byte to five. */
function describeMessage(syntax: "proto2" | "proto3"): DescMessage {
  const proto2 = syntax === "proto2";
  const file = create(FileDescriptorProtoSchema, {
    name: `${syntax}.proto`,
    syntax,
    messageType: [
      {
        name: "Message",
        field: [
          { name: "text", number: 1, type: Type.STRING, label: Label.OPTIONAL },
          { name: "plain", number: 2, type: Type.BYTES, label: Label.OPTIONAL },
          { name: "far", number: 536_870_911, type: Type.BYTES, label: Label.OPTIONAL },
          { name: "many", number: 17, type: Type.BYTES, label: Label.REPEATED },
          { name: "chosen", number: 18, type: Type.BYTES, label: Label.OPTIONAL, oneofIndex: 0 },
          ...(proto2 ? [{ name: "must", number: 20, type: Type.BYTES, label: Label.REQUIRED }] : []),
          ...(proto2
            ? []
            : [
                {
                  name: "told",
                  number: 21,
                  type: Type.BYTES,
                  label: Label.OPTIONAL,
                  oneofIndex: 1,
                  proto3Optional: true,
                },
              ]),
        ],
        oneofDecl: [{ name: "choice" }, ...(proto2 ? [] : [{ name: "_told" }])],
      },
    ],
  });
  const desc = createFileRegistry(create(FileDescriptorSetSchema, { file: [file] })).getMessage("Message");
  assert.ok(desc !== undefined);
  return desc;
}

/** Whether the field was left where it lies, after what readers get was compared. */
function checkOutgoing(desc: DescMessage, message: Message): boolean {
  const before = Object.entries(message);
  const expected = toBinary(desc, message);
  const outgoing = toOutgoing(desc, message);
  assert.deepEqual(Object.entries(message), before);
  assert.equal(outgoing.length, expected.length);
  const bytes = wholeBytes(outgoing);
  assert.equal(bytes.length, expected.length);
  assert.deepEqual(fromBinary(desc, bytes), fromBinary(desc, expected));
  if (!(outgoing instanceof LargeMessage)) return false;
  // What is sent: the head of gRPC, and all before the field.
  const sent = Buffer.concat([outgoing.start, outgoing.content]);
  assert.deepEqual([sent[0], sent.readUint32BE(1)], [0, expected.length]);
  assert.deepEqual(new Uint8Array(sent.subarray(5)), bytes);
  return true;
}

for (const syntax of ["proto2", "proto3"] as const) {
  describe(`toOutgoing() of ${syntax}`, () => {
    const desc = describeMessage(syntax);
    const make = (fields: Fields): Message =>
      create(desc, { ...(syntax === "proto2" && { must: small }), ...fields } as never);

    test("leaves a large field where it lies", () => {
      for (const name of ["plain", "far", ...(syntax === "proto3" ? ["told"] : [])]) {
        assert.equal(checkOutgoing(desc, make({ text: "beside", [name]: large })), true, name);
        assert.equal(checkOutgoing(desc, make({ [name]: Buffer.from(large) })), true, name);
        assert.equal(checkOutgoing(desc, make({ [name]: new Uint8Array(3_000_000).fill(3) })), true, name);
      }
      assert.equal(checkOutgoing(desc, make({ plain: large, far: large })), true);
    });

    test("writes all else as protobuf-es does", () => {
      for (const fields of [
        {},
        { text: "x".repeat(10_000) },
        { plain: small },
        { plain: new Uint8Array(0), far: new Uint8Array(0) },
        { many: [large, large] },
        { choice: { case: "chosen", value: large } },
        ...(syntax === "proto2" ? [{ must: large }] : []),
      ]) {
        assert.equal(checkOutgoing(desc, make(fields)), false, Object.keys(fields).join());
      }
    });

    test("keeps unknown fields", () => {
      const message = make({ plain: large });
      message.$unknown = [{ no: 99, wireType: 0, data: Uint8Array.of(5) }];
      assert.equal(checkOutgoing(desc, message), true);
      assert.deepEqual(fromBinary(desc, wholeBytes(toOutgoing(desc, message))).$unknown, message.$unknown);
    });
  });
}

test("toOutgoing() throws what toBinary() throws where a required field is missing", () => {
  const desc = describeMessage("proto2");
  const message = create(desc, { plain: large } as never);
  const thrown = (work: () => unknown): string => {
    try {
      work();
    } catch (error) {
      return String(error);
    }
    return "nothing";
  };
  const expected = thrown(() => toBinary(desc, message));
  assert.notEqual(expected, "nothing");
  assert.equal(
    thrown(() => toOutgoing(desc, message)),
    expected,
  );
});
