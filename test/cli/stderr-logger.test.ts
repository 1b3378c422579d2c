import assert from "node:assert/strict";
import { test } from "node:test";
import { createStderrLogger, type LogFormat, type LogLevel } from "../../src/cli/stderr-logger.ts";

const time = "2026-01-02T03:04:05.678Z";

function capture(level: LogLevel, format: LogFormat) {
  const lines: string[] = [];
  const logger = createStderrLogger({ level, format, write: (line) => lines.push(line), now: () => new Date(time) });
  return { logger, lines };
}

test("createStderrLogger() prints text lines with fields", () => {
  const { logger, lines } = capture("info", "text");
  logger.info("registered", { id: "a:1:b", note: "two words", port: 1, absent: undefined, empty: "" });
  assert.deepEqual(lines, [`${time} info  registered id=a:1:b note="two words" port=1 empty=""`]);
});

test("createStderrLogger() prints one JSON object a line", () => {
  const { logger, lines } = capture("info", "json");
  logger.warn("a\nb", { level: "mine", big: 5n, list: [1] });
  assert.equal(lines.length, 1);
  assert.deepEqual(JSON.parse(lines[0]!), {
    time,
    level: "warn",
    message: "a\nb",
    level_: "mine",
    big: "5",
    list: [1],
  });
});

test("createStderrLogger() prints what is at least as severe as its level", () => {
  for (const [level, expected] of [
    ["debug", 4],
    ["info", 3],
    ["warn", 2],
    ["error", 1],
    ["silent", 0],
  ] as const) {
    const { logger, lines } = capture(level, "text");
    for (const method of ["debug", "info", "warn", "error"] as const) logger[method]("x");
    assert.equal(lines.length, expected, level);
  }
});

test("createStderrLogger() keeps a message of a peer on one line, without control characters", () => {
  const { logger, lines } = capture("info", "text");
  logger.info("client \n2026 error forged\u001b[31m called", { by: "\u2028" });
  assert.deepEqual(lines, [`${time} info  client \\n2026 error forged\\u001b[31m called by=\\u2028`]);
});

test("createStderrLogger() prints an error's message and causes, never its stack", () => {
  const { logger, lines } = capture("info", "text");
  logger.error("lost", { error: new Error("outer", { cause: new TypeError("inner") }) });
  assert.deepEqual(lines, [`${time} error lost error="outer: inner"`]);
});

test("createStderrLogger() never prints a token", () => {
  const { logger, lines } = capture("info", "json");
  logger.info("x", { token: "s3cret", aclToken: "s3cret", password: "s3cret", Authorization: "s3cret" });
  assert.ok(!lines.join().includes("s3cret"));
});

test("createStderrLogger() does not throw when a field cannot be printed", () => {
  const { logger, lines } = capture("info", "json");
  const circle: Record<string, unknown> = {};
  circle.circle = circle;
  logger.info("x", { circle, symbol: Symbol("s") });
  assert.match(lines[0] ?? "", /cannot be printed/);
});
