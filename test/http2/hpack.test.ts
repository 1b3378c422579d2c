// HPACK against RFC 7541's own examples, against itself with random fields, and against blocks that are wrong.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { HeaderDecoder, HpackBombError, HpackError } from "../../src/http2/hpack/header-decoder.ts";
import { HeaderEncoder } from "../../src/http2/hpack/header-encoder.ts";
import { huffmanDecode, huffmanEncode, huffmanLength } from "../../src/http2/hpack/huffman.ts";
import { seededRandom } from "../support/seeded-random.ts";

const limits = { maxTableBytes: 4096, maxListBytes: 64 * 1024 };

/** RFC 7541, appendix C: blocks of one connection in their order, and the fields of each. */
const examples: Readonly<Record<string, readonly (readonly [hex: string, fields: string])[]>> = {
  "C.2.1 literal with indexing": [
    ["400a637573746f6d2d6b65790d637573746f6d2d686561646572", "custom-key: custom-header"],
  ],
  "C.2.2 literal without indexing": [["040c2f73616d706c652f70617468", ":path: /sample/path"]],
  "C.2.3 literal never indexed": [["100870617373776f726406736563726574", "password: secret"]],
  "C.2.4 indexed": [["82", ":method: GET"]],
  "C.3 requests": [
    ["828684410f7777772e6578616d706c652e636f6d", ":method: GET|:scheme: http|:path: /|:authority: www.example.com"],
    [
      "828684be58086e6f2d6361636865",
      ":method: GET|:scheme: http|:path: /|:authority: www.example.com|cache-control: no-cache",
    ],
    [
      "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
      ":method: GET|:scheme: https|:path: /index.html|:authority: www.example.com|custom-key: custom-value",
    ],
  ],
  "C.4 requests in Huffman code": [
    ["828684418cf1e3c2e5f23a6ba0ab90f4ff", ":method: GET|:scheme: http|:path: /|:authority: www.example.com"],
    [
      "828684be5886a8eb10649cbf",
      ":method: GET|:scheme: http|:path: /|:authority: www.example.com|cache-control: no-cache",
    ],
    [
      "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
      ":method: GET|:scheme: https|:path: /index.html|:authority: www.example.com|custom-key: custom-value",
    ],
  ],
};

/** C.5 and C.6, the same responses without and with Huffman code, for a table of 256 bytes. */
const responses: readonly (readonly [plainHex: string, huffmanHex: string, fields: string])[] = [
  [
    "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d",
    "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
    ":status: 302|cache-control: private|date: Mon, 21 Oct 2013 20:13:21 GMT|location: https://www.example.com",
  ],
  [
    "4803333037c1c0bf",
    "4883640effc1c0bf",
    ":status: 307|cache-control: private|date: Mon, 21 Oct 2013 20:13:21 GMT|location: https://www.example.com",
  ],
  [
    "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31",
    "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
    ":status: 200|cache-control: private|date: Mon, 21 Oct 2013 20:13:22 GMT|location: https://www.example.com|content-encoding: gzip|set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
  ],
];

describe("HeaderDecoder", () => {
  for (const [name, blocks] of Object.entries(examples)) {
    test(`decode() reads RFC 7541's example ${name}`, () => {
      const decoder = new HeaderDecoder(limits);
      for (const [hex, fields] of blocks) assert.equal(text(decode(decoder, hex)), fields);
    });
  }

  for (const [example, column] of [
    ["C.5", 0],
    ["C.6", 1],
  ] as const) {
    test(`decode() reads RFC 7541's responses ${example}, evicting from a table of 256 bytes`, () => {
      const decoder = new HeaderDecoder({ ...limits, maxTableBytes: 256 });
      for (const response of responses) assert.equal(text(decode(decoder, response[column])), response[2]);
    });
  }

  test("decode() reads RFC 7541's integers C.1", () => {
    // As sizes of the table, which have a prefix of 5 bits.
    const decoder = new HeaderDecoder(limits);
    for (const hex of ["2a", "3f9a0a"]) assert.deepEqual(decode(decoder, hex).fields, []);
    assert.throws(() => decode(new HeaderDecoder({ ...limits, maxTableBytes: 9 }), "2a"), HpackError);
    assert.throws(() => decode(new HeaderDecoder({ ...limits, maxTableBytes: 1336 }), "3f9a0a"), HpackError);
    assert.deepEqual(decode(new HeaderDecoder({ ...limits, maxTableBytes: 1337 }), "3f9a0a").fields, []);
  });

  const wrong: Readonly<Record<string, string>> = {
    "an index of 0": "80",
    "an index beyond the tables": "be",
    "a name's index beyond the tables": "7f00",
    "an integer that never ends": "ffffffffffff",
    "an integer beyond 2^28": "7fffffffff7f",
    "a text longer than the block": "000561",
    "the end within a text's length": "00017f",
    "a Huffman text with EOS in it": "0084ffffffff00",
    "Huffman padding of a whole byte": "00821fff00",
    "Huffman padding of zeros": "00811800",
    "a size update beyond what we allow": "3fe21f",
    "a size update after a field": "8220",
    "three size updates": "202020",
  };
  for (const [what, hex] of Object.entries(wrong)) {
    test(`decode() throws HpackError for ${what}`, () => {
      assert.throws(() => decode(new HeaderDecoder(limits), hex), HpackError);
    });
  }

  test("decode() gives the same block for bytes that come often, until the table changes", () => {
    const decoder = new HeaderDecoder(limits);
    decode(decoder, "82");
    const first = decode(decoder, "82");
    assert.equal(decode(decoder, "82"), first);
    // A literal that enters the table.
    decode(decoder, "4001610162");
    const later = decode(decoder, "82");
    assert.notEqual(later, first);
    assert.deepEqual(later.fields, first.fields);
  });

  test("decode() keeps nothing of a list that is too large, and keeps the table right", () => {
    const decoder = new HeaderDecoder({ maxTableBytes: 4096, maxListBytes: 100 });
    const encoder = new HeaderEncoder();
    const large = [":path", "/large", "a", "x".repeat(200)];
    assert.equal(decodeBytes(decoder, encode(encoder, large)).tooLarge, true);
    assert.deepEqual(decodeBytes(decoder, encode(encoder, large)).fields, []);
    assert.deepEqual(decodeBytes(decoder, encode(encoder, [":path", "/large"])).fields, [":path", "/large"]);
  });

  test("decode() throws HpackBombError when few bytes name a large entry many times", () => {
    const decoder = new HeaderDecoder(limits);
    // A literal of 4,000 bytes enters the table; each byte after it names it.
    assert.equal(decode(decoder, `4001617fa11e${"62".repeat(4000)}`).fields[1]?.length, 4000);
    assert.equal(decode(decoder, "be".repeat(200)).tooLarge, true);
    assert.throws(() => decode(decoder, "be".repeat(16_000)), HpackBombError);
  });
});

describe("HeaderEncoder", () => {
  test("encode() announces the smallest size of the table and the present one", () => {
    const encoder = new HeaderEncoder();
    encoder.setMaxTableBytes(1337);
    // RFC 7541's integer C.1.2.
    assert.deepEqual([...encode(encoder, [":method", "GET"])], [0x3f, 0x9a, 0x0a, 0x82]);
    encoder.setMaxTableBytes(10);
    encoder.setMaxTableBytes(1337);
    assert.deepEqual([...encode(encoder, [":method", "GET"])], [0x2a, 0x3f, 0x9a, 0x0a, 0x82]);
    assert.deepEqual([...encode(encoder, [":method", "GET"])], [0x82]);
  });

  test("encode() writes what a decoder reads, through table sizes that change", () => {
    const { random, seed } = seededRandom();
    const encoder = new HeaderEncoder();
    const decoder = new HeaderDecoder(limits);
    for (let round = 0; round < 20_000; round++) {
      if (round % 250 === 0) encoder.setMaxTableBytes([4096, 100, 0, 2000, 1e6][Math.floor(random() * 5)] ?? 0);
      const fields = [
        ":method",
        "POST",
        ":path",
        `/a.B/${Math.floor(random() * 9)}`,
        "content-type",
        "application/grpc",
      ];
      for (let count = Math.floor(random() * 6); count > 0; count--) {
        fields.push(`x-${Math.floor(random() * 60)}`, latin1(random, Math.floor(random() * 90)));
      }
      fields.push("authorization", `Bearer ${round}`);
      assert.deepEqual(decodeBytes(decoder, encode(encoder, fields)).fields, fields, `seed ${seed}, round ${round}`);
    }
  });

  test("encode() never puts a credential into the table", () => {
    const encoder = new HeaderEncoder();
    for (let round = 0; round < 3; round++) {
      const bytes = encode(encoder, ["authorization", "secret"]);
      // RFC 7541, section 6.2.3: 0001 and the name's index, 23.
      assert.deepEqual([...bytes.subarray(0, 2)], [0x1f, 23 - 15]);
    }
  });

  test("encode() needs one byte a field from the second or third time on", () => {
    const encoder = new HeaderEncoder();
    const fields = [":path", "/a.B/C", "x-team", "red"];
    for (let round = 0; round < 3; round++) encode(encoder, fields);
    assert.equal(encode(encoder, fields).length, 2);
  });

  test("encodeUnindexed() leaves the version as it is", () => {
    const encoder = new HeaderEncoder();
    const { version } = encoder;
    const out = new Uint8Array(200);
    for (let round = 0; round < 3; round++) encoder.encodeUnindexed(["grpc-timeout", "5S", "x-team", "red"], out, 0);
    assert.equal(encoder.version, version);
  });
});

describe("Huffman code", () => {
  test("texts come back whatever their bytes", () => {
    const { random, seed } = seededRandom();
    for (let round = 0; round < 5000; round++) {
      const original = latin1(random, Math.floor(random() * 64));
      const out = new Uint8Array(400);
      const end = huffmanEncode(original, out, 0);
      assert.equal(end, huffmanLength(original), `seed ${seed}`);
      assert.equal(huffmanDecode(out, 0, end), original, `seed ${seed}`);
    }
  });
});

function decode(decoder: HeaderDecoder, hex: string): ReturnType<HeaderDecoder["decode"]> {
  return decodeBytes(
    decoder,
    Uint8Array.from(hex.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16)),
  );
}

function decodeBytes(decoder: HeaderDecoder, bytes: Uint8Array): ReturnType<HeaderDecoder["decode"]> {
  return decoder.decode(bytes, 0, bytes.length);
}

function encode(encoder: HeaderEncoder, fields: readonly string[]): Uint8Array {
  const out = new Uint8Array(HeaderEncoder.bound(fields));
  return out.subarray(0, encoder.encode(fields, out, 0));
}

function text({ fields }: { readonly fields: readonly string[] }): string {
  return fields
    .map((part, index) => (index % 2 === 0 ? `${part}: ` : `${part}|`))
    .join("")
    .slice(0, -1);
}

function latin1(random: () => number, length: number): string {
  return String.fromCharCode(...Array.from({ length }, () => Math.floor(random() * 256)));
}
