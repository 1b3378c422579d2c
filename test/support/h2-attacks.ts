// What hostile clients send, each one thing that costs it little: test/http2/floods.test.ts sends it over memory, test/attacks over sockets.

import type { ConnectionLimits } from "../../src/http2/connection-limits.ts";
import { ErrorCode } from "../../src/http2/error-code.ts";
import { requestFields } from "./h2-echo.ts";
import { frame, literals, request, settingsPayload, uint32 } from "./h2-wire.ts";

const resetFrame = (id: number) => frame(3, 0, id, uint32(ErrorCode.cancel));
const dataOf = (id: number, length: number, end = false) => frame(0, end ? 1 : 0, id, new Uint8Array(length));

/** What the server under attack does at a path. */
export interface AttackPaths {
  /** Answers nothing. */
  readonly hang: string;
  /** Answers with a megabyte; and with as little as there is. */
  readonly large: string;
  readonly small: string;
  /** Reads its request to the end. */
  readonly upload: string;
  /** Fields that its requests need beside the pseudo-headers. */
  readonly more?: readonly string[];
}

/** Those of test/support/h2-echo.ts. */
export const echoPaths: AttackPaths = { hang: "/hang", large: "/bytes/1000000", small: "/bytes/0", upload: "/echo" };

export interface H2Attack {
  readonly name: string;
  /** Sent first. */
  readonly before?: readonly Uint8Array[];
  /** What is sent again and again; `index` counts from 0. */
  readonly step: (index: number) => readonly Uint8Array[];
  /** How often at most, all within a second of the clock. */
  readonly most: number;
  readonly text: RegExp;
  /** Streams that the server may take. */
  readonly mostStreams?: number;
  /** Of a server that the attack needs. */
  readonly limits?: Partial<ConnectionLimits>;
}

const id = (index: number) => 2 * index + 1;

/** One attack after the other. Each is over when the server says so. */
export function h2Attacks(paths: AttackPaths): readonly H2Attack[] {
  const largeField = literals(["x", "y".repeat(8100)]);
  const largeRequest = literals([...requestFields(paths.hang), ...(paths.more ?? []), "a", "b".repeat(16_000)]);
  const ask = (streamId: number, path: string, end = true) => request(streamId, path, end, paths.more);
  return [
    {
      name: "rapid reset (CVE-2023-44487)",
      step: (index) => [ask(id(index), paths.hang), resetFrame(id(index))],
      most: 1300,
      text: /streams that were reset/,
      mostStreams: 1250,
    },
    {
      name: "rapid reset of whole batches",
      step: (index) =>
        Array.from({ length: 200 }, (_, at) =>
          at < 100 ? ask(id(index * 100 + at), paths.hang) : resetFrame(id(index * 100 + at - 100)),
        ),
      most: 20,
      text: /streams that were reset/,
      mostStreams: 1300,
    },
    ...[
      { by: "WINDOW_UPDATE by 0", what: (index: number) => frame(8, 0, id(index), uint32(0)) },
      { by: "windows beyond 2^31-1", what: (index: number) => frame(8, 0, id(index), uint32(0x7fffffff)) },
      { by: "data after the end", what: (index: number) => dataOf(id(index), 8), end: true },
      { by: "headers after the end", what: (index: number) => ask(id(index), paths.hang), end: true },
      { by: "trailers without an end", what: (index: number) => frame(1, 4, id(index), literals(["a", "b"])) },
      {
        by: "a stream that depends on itself",
        what: (index: number) => frame(2, 0, id(index), [...uint32(id(index)), 0]),
      },
      { by: "PRIORITY of a wrong size", what: (index: number) => frame(2, 0, id(index), [1]) },
    ].map(
      ({ by, what, end = false }): H2Attack => ({
        name: `resets that the server is made to send, by ${by} (CVE-2025-8671)`,
        step: (index) => [ask(id(index), paths.hang, end), what(index)],
        most: 260,
        text: /had to be reset/,
        mostStreams: 255,
      }),
    ),
    {
      name: "requests that are malformed (CVE-2019-9514)",
      step: (index) => [frame(1, 5, id(index), literals(["", ""]))],
      most: 260,
      text: /had to be reset/,
      mostStreams: 0,
    },
    {
      name: "CONTINUATION frames without end",
      before: [frame(1, 1, 1, literals([":method", "POST"]))],
      step: () => [frame(9, 0, 1)],
      most: 70,
      text: /CONTINUATION/,
    },
    {
      name: "a header block without end",
      before: [frame(1, 1, 1, literals([":method", "POST"]))],
      step: () => [frame(9, 0, 1, new Uint8Array(16_000))],
      most: 10,
      text: /header block is too large/,
    },
    {
      name: "SETTINGS (CVE-2019-9515)",
      step: (index) => [frame(4, 0, 0, settingsPayload([4, 65_535 + index]))],
      most: 120,
      text: /SETTINGS/,
    },
    { name: "answers to SETTINGS", step: () => [frame(4, 1, 0)], most: 2700, text: /SETTINGS/ },
    { name: "PING (CVE-2019-9512)", step: () => [frame(6, 0, 0, new Uint8Array(8))], most: 2700, text: /PING/ },
    { name: "GOAWAY", step: () => [frame(7, 0, 0, new Uint8Array(8))], most: 2700, text: /GOAWAY/ },
    { name: "PRIORITY (CVE-2019-9516)", step: () => [frame(2, 0, 5, [0, 0, 0, 3, 1])], most: 2700, text: /PRIORITY/ },
    { name: "frames of unknown types", step: () => [frame(99, 0, 1, [1, 2, 3])], most: 2700, text: /unknown/ },
    {
      name: "RST_STREAM on a stream that has ended",
      before: [ask(1, paths.small)],
      step: () => [resetFrame(1)],
      most: 2700,
      text: /RST_STREAM/,
    },
    ...[0, 1, 4].map(
      (length): H2Attack => ({
        name: `DATA of ${length} bytes (CVE-2019-9518)`,
        before: [ask(1, paths.upload, false)],
        step: () => [dataOf(1, length)],
        most: 2700,
        text: /DATA/,
      }),
    ),
    {
      name: "DATA of one byte and much padding",
      before: [ask(1, paths.upload, false)],
      step: () => [frame(0, 8, 1, [255, 0, ...new Uint8Array(255)])],
      most: 2700,
      text: /DATA/,
    },
    {
      name: "a window opened byte by byte (CVE-2019-9511)",
      before: [frame(4, 0, 0, settingsPayload([4, 0])), ask(1, paths.large)],
      step: () => [frame(8, 0, 1, uint32(1))],
      most: 2700,
      text: /WINDOW_UPDATE/,
    },
    {
      name: "an HPACK bomb",
      // A literal of 4,000 bytes that enters the table, then 16,000 bytes that each name it.
      before: [frame(1, 0, 1, [0x40, 1, 97, 0x7f, 0xa1, 0x1e, ...new Uint8Array(4000).fill(98)]), frame(9, 4, 1)],
      step: (index) => [frame(1, 5, id(index + 1), new Uint8Array(16_000).fill(0xbe))],
      most: 1,
      text: /by far/,
    },
    {
      name: "header lists that are too large, one a stream",
      step: (index) => [
        frame(1, 1, id(index), new Uint8Array(0)),
        ...Array.from({ length: 8 }, () => frame(9, 0, id(index), largeField)),
        frame(9, 4, id(index), largeField),
      ],
      most: 70,
      text: /header lists/,
      mostStreams: 62,
    },
    {
      name: "streams above the limit",
      limits: { maxConcurrentStreams: 10 },
      step: (index) => [ask(id(index), paths.hang)],
      most: 2300,
      text: /above the limit/,
      mostStreams: 10,
    },
    {
      name: "large headers on streams that are kept open",
      step: (index) => [frame(1, 4, id(index), largeRequest)],
      most: 4000,
      text: /above the limit/,
      // 8 MiB of them.
      mostStreams: 550,
    },
    {
      name: "informational trailers of no use",
      step: (index) => [ask(id(index), paths.hang, false), frame(1, 5, id(index), literals([":status", "100"]))],
      most: 260,
      text: /had to be reset/,
      mostStreams: 255,
    },
  ];
}
