"""Python's hpack on standard input and output, for tests: as go/main.go."""

import json
import sys

from hpack import Decoder, Encoder, HeaderTuple, NeverIndexedHeaderTuple


def encode(story):
    encoder = Encoder()
    blocks = []
    for index, texts in enumerate(story["lists"]):
        size = story["tableBytes"].get(str(index))
        if size is not None:
            encoder.header_table_size = size
        fields = []
        for name, value in zip(texts[::2], texts[1::2]):
            kind = NeverIndexedHeaderTuple if name == "authorization" else HeaderTuple
            fields.append(kind(name.encode("latin-1"), value.encode("latin-1")))
        blocks.append(encoder.encode(fields).hex())
    return blocks


def decode(story):
    decoder = Decoder()
    lists = []
    for index, block in enumerate(story["blocks"]):
        size = story["tableBytes"].get(str(index))
        if size is not None:
            decoder.max_allowed_table_size = size
        fields = decoder.decode(bytes.fromhex(block), raw=True)
        lists.append([text.decode("latin-1") for field in fields for text in field])
    return lists


work = encode if sys.argv[1] == "encode" else decode
json.dump([work(story) for story in json.load(sys.stdin)], sys.stdout)
