import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { silentLogger } from "../../../src/core/logger.ts";
import type {
  ServiceConfigListener,
  ServiceConfigSource,
} from "../../../src/transport/service-config/service-config.ts";
import { ServiceConfigError } from "../../../src/transport/service-config/service-config-error.ts";
import { ServiceConfigHolder } from "../../../src/transport/service-config/service-config-holder.ts";
import { EchoService } from "../../gen/lictor/test/v1/echo_pb.ts";
import { createHandConfig } from "../../support/hand-config.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";

const { unary } = EchoService.method;
const timeout = (text: string): string => JSON.stringify({ methodConfig: [{ name: [{}], timeout: text }] });

describe("ServiceConfigHolder", () => {
  test("has a config in code at once, as an object or as text, and throws for a bad one", () => {
    for (const given of [JSON.parse(timeout("2s")), timeout("2s")]) {
      const holder = new ServiceConfigHolder(given, silentLogger);
      assert.equal(holder.isKnown, true);
      assert.equal(holder.policyOf(unary)?.timeoutMs, 2000);
      holder.start();
      holder.stop();
    }
    for (const bad of [timeout("2"), "no", { methodConfig: 1 as never }, null as never, 3 as never]) {
      assert.throws(() => new ServiceConfigHolder(bad, silentLogger), ServiceConfigError);
    }
    const none = new ServiceConfigHolder(undefined, silentLogger);
    assert.equal(none.isKnown, true);
    assert.equal(none.policyOf(unary), undefined);
  });

  test("logs what a config in code warns of", () => {
    const logger = createRecordingLogger();
    assert.ok(new ServiceConfigHolder({ methodConfig: [], ...{ retryThrotling: {} } }, logger));
    assert.deepEqual(
      logger.lines.map(({ level, message }) => [level, message]),
      [["warn", 'Service config: retryThrotling is not known and is ignored: did you mean "retryThrottling"?']],
    );
  });

  test("follows a source between start() and stop(), and keeps what it knows after", () => {
    const source = createHandConfig();
    const holder = new ServiceConfigHolder(source, silentLogger);
    assert.equal(source.listeners, 0);
    holder.start();
    holder.start();
    assert.equal(source.listeners, 1);
    assert.equal(holder.isKnown, false);
    source.push(timeout("1s"));
    assert.equal(holder.isKnown, true);
    assert.equal(holder.policyOf(unary)?.timeoutMs, 1000);
    holder.stop();
    holder.stop();
    assert.equal(source.listeners, 0);
    assert.equal(holder.policyOf(unary)?.timeoutMs, 1000);
    holder.start();
    source.push(timeout("3s"));
    assert.equal(holder.policyOf(unary)?.timeoutMs, 3000);
    holder.stop();
  });

  test("takes a source that tells what it knows while it is subscribed to", () => {
    const source: ServiceConfigSource = {
      description: "at once",
      subscribe(listener) {
        listener.onConfig(timeout("4s"));
        return () => {};
      },
    };
    const holder = new ServiceConfigHolder(source, silentLogger);
    holder.start();
    assert.equal(holder.policyOf(unary)?.timeoutMs, 4000);
    holder.stop();
  });

  test("keeps the last good config where an update is bad, and says so", () => {
    const logger = createRecordingLogger();
    const source = createHandConfig();
    const holder = new ServiceConfigHolder(source, logger);
    holder.start();
    source.push(timeout("1s"));
    const good = holder.current;
    source.push(timeout("never"));
    assert.equal(holder.current, good);
    const { error, ...rest } = holder.status() ?? {};
    assert.deepEqual(rest, { source: "the test's config", isInUse: true });
    assert.match(error ?? "", /methodConfig\[0\]\.timeout must be a duration/);
    source.push(timeout("2s"));
    assert.equal(holder.policyOf(unary)?.timeoutMs, 2000);
    assert.deepEqual(holder.status(), rest);
    assert.deepEqual(
      logger.lines.map(({ level, message, fields }) => [level, message, fields.source]),
      [
        ["info", "A service config is in use", "the test's config"],
        ["warn", "A service config cannot be used: the last good one stands", "the test's config"],
        ["info", "A service config is in use", "the test's config"],
      ],
    );
    assert.ok(logger.lines[1]?.fields.error instanceof ServiceConfigError);
    holder.stop();
  });

  test("returns to no config where the source says that there is none", () => {
    const logger = createRecordingLogger();
    const source = createHandConfig();
    const holder = new ServiceConfigHolder(source, logger);
    holder.start();
    source.push(undefined);
    assert.equal(holder.isKnown, true);
    assert.equal(holder.current, undefined);
    source.push(timeout("1s"));
    source.push("{");
    source.push(undefined);
    assert.equal(holder.current, undefined);
    assert.deepEqual(holder.status(), { source: "the test's config", isInUse: false });
    source.push(timeout("1s"));
    assert.equal(holder.policyOf(unary)?.timeoutMs, 1000);
    assert.equal(logger.count("There is no service config any more"), 1);
    holder.stop();
  });

  test("keeps what it knows while the source fails, and says so once", () => {
    const logger = createRecordingLogger();
    const source = createHandConfig();
    const holder = new ServiceConfigHolder(source, logger);
    holder.start();
    source.fail(new Error("down"));
    assert.equal(holder.isKnown, true);
    assert.equal(holder.current, undefined);
    source.fail(new Error("down"));
    source.push(timeout("1s"));
    source.fail(new Error("down"));
    source.fail(new Error("still down"));
    assert.equal(holder.policyOf(unary)?.timeoutMs, 1000);
    assert.deepEqual(holder.status(), { source: "the test's config", isInUse: true, error: "still down" });
    source.push(timeout("1s"));
    assert.equal(holder.status()?.error, undefined);
    assert.deepEqual(
      logger.lines.map(({ message }) => message),
      [
        "The service config cannot be read: none is in use",
        "The service config can be read again",
        "A service config is in use",
        "The service config cannot be read: the last good one stands",
        "The service config can be read again",
      ],
    );
    holder.stop();
  });

  test("tells those who listen of changes, and not of what says the same", () => {
    const source = createHandConfig();
    const holder = new ServiceConfigHolder(source, silentLogger);
    const seen: unknown[] = [];
    const end = holder.onChange(() => seen.push(holder.policyOf(unary)?.timeoutMs));
    holder.start();
    source.push(timeout("1s"));
    source.push(timeout("1s"));
    source.push("bad");
    source.push("bad");
    source.push(timeout("2s"));
    source.push(undefined);
    source.push(undefined);
    end();
    source.push(timeout("3s"));
    assert.deepEqual(seen, [1000, 2000, undefined]);
    holder.stop();
  });

  test("tells a listener first that nothing need be waited for, whatever came", () => {
    const first: ((listener: ServiceConfigListener) => void)[] = [
      (listener) => listener.onConfig(undefined),
      (listener) => listener.onConfig(timeout("1s")),
      (listener) => listener.onConfig("bad"),
      (listener) => listener.onError(new Error("down")),
    ];
    for (const tell of first) {
      let told = 0;
      const source: ServiceConfigSource = {
        description: "once",
        subscribe(listener) {
          tell(listener);
          return () => {};
        },
      };
      const holder = new ServiceConfigHolder(source, silentLogger);
      holder.onChange(() => told++);
      holder.start();
      assert.equal(told, 1);
      assert.equal(holder.isKnown, true);
    }
  });
});
