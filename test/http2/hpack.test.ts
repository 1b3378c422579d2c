// HPACK against RFC 7541's own examples, against itself with random fields, and against blocks that are wrong.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { HeaderDecoder, HpackError } from "../../src/http2/hpack/header-decoder.ts";
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

describe("HeaderDecoder", () => {
  for (const [name, blocks] of Object.entries(examples)) {
    test(`decode() reads RFC 7541's example ${name}`, () => {
      const decoder = new HeaderDecoder(limits);
      for (const [hex, fields] of blocks) assert.equal(text(decode(decoder, hex)), fields);
    });
  }

  test("decode() evicts as RFC 7541's responses C.6 do when the table holds 256 bytes", () => {
    const decoder = new HeaderDecoder({ ...limits, maxTableBytes: 256 });
    const date = "date: Mon, 21 Oct 2013 20:13:21 GMT";
    const location = "location: https://www.example.com";
    const first =
      "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3";
    assert.equal(text(decode(decoder, first)), `:status: 302|cache-control: private|${date}|${location}`);
    // Adding ":status: 307" pushes ":status: 302" out.
    assert.equal(text(decode(decoder, "4883640effc1c0bf")), `:status: 307|cache-control: private|${date}|${location}`);
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

  test("decode() gives the same block for the same bytes until the table changes", () => {
    const decoder = new HeaderDecoder(limits);
    const first = decode(decoder, "82");
    assert.equal(decode(decoder, "82"), first);
    decode(decoder, "400161016200".slice(0, 10));
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
});

describe("HeaderEncoder", () => {
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
