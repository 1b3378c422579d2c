// Header lists in the order in which one connection sends them: what other encoders are given to encode, and ours to decode again. Always
// the same, as chance has a fixed seed.

import { seededRandom } from "../../support/seeded-random.ts";

/** One connection. */
export interface Story {
  readonly name: string;
  /** Each a list of names and values in turn, one character a byte. */
  readonly lists: readonly (readonly string[])[];
  /** Sizes of the dynamic table in bytes, from the list of that number on. */
  readonly tableBytes: Readonly<Record<number, number>>;
}

/** The stories that test/http2/vectors/vectors.json was made of. */
export function hpackStories(): Story[] {
  const { random } = seededRandom(7541);
  const below = (end: number) => Math.floor(random() * end);
  const text = (length: number, from: number, to: number) =>
    String.fromCharCode(...Array.from({ length }, () => from + below(to - from)));
  const request = (...more: readonly string[]) => [
    ":method",
    "POST",
    ":scheme",
    random() < 0.5 ? "http" : "https",
    ":path",
    `/lictor.test.v1.EchoService/${["Echo", "Count", "Collect"][below(3)]}`,
    ":authority",
    "echo.example:50051",
    ...more,
  ];
  const call = (number: number) =>
    request(
      "content-type",
      "application/grpc+proto",
      "te",
      "trailers",
      "user-agent",
      "grpc-go/1.85.0",
      "grpc-timeout",
      `${4_900_000 + below(100_000)}u`,
      "x-team",
      ["red", "blue"][number & 1] ?? "",
      "traceparent",
      `00-${text(32, 97, 103)}-${text(16, 48, 58)}-01`,
      "authorization",
      `Bearer ${text(20, 65, 91)}`,
    );
  const page = () =>
    request(
      "accept",
      "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
      "accept-encoding",
      "gzip, deflate",
      "accept-language",
      "de-DE,de;q=0.9,en;q=0.7",
      "cache-control",
      "no-cache",
      "cookie",
      `session=${text(24, 48, 58)}; theme=dark`,
      "x-empty",
      "",
    );
  const many = () =>
    request(...Array.from({ length: 12 }, (_, at) => [`x-${at * 4 + below(4)}`, `v${below(12)}`]).flat());
  const lists = (count: number, list: (number: number) => string[]) =>
    Array.from({ length: count }, (_, at) => list(at));
  return [
    { name: "calls", lists: lists(16, call), tableBytes: {} },
    { name: "pages", lists: lists(8, page), tableBytes: {} },
    { name: "table sizes", lists: lists(12, call), tableBytes: { 2: 256, 4: 0, 6: 4096, 8: 100, 9: 1000 } },
    { name: "turnover", lists: lists(20, many), tableBytes: { 0: 300 } },
    {
      name: "long values",
      lists: lists(8, () => request("x-long", text(100 + below(900), 32, 127).trim(), "x-short", text(3, 97, 123))),
      tableBytes: {},
    },
    {
      name: "all bytes",
      lists: lists(8, () => request("x-high", text(40, 128, 256), "x-print", `!${text(60, 32, 127)}!`)),
      tableBytes: {},
    },
  ];
}
