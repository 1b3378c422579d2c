// Which endpoints a transport calls, of those that are connected: ejections and probes, slow start, warnings, idleness, health.

import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { Health, HealthCheckResponse_ServingStatus as Status } from "../../gen/grpc/health/v1/health_pb.ts";
import type { Endpoint } from "../../src/core/endpoint.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";
import { type BalancedTransportOptions, createBalancedTransport } from "../../src/transport/balanced-transport.ts";
import { healthTier } from "../../src/transport/pool/health-tiers.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { createHandResolver, endpoint } from "../support/endpoints.ts";
import { pause, until } from "../support/eventually.ts";
import { createFakeConnector, type FakeConnection } from "../support/fake-connector.ts";
import { createRecordingLogger } from "../support/recording-logger.ts";
import { rejection } from "../support/rejection.ts";

const [a, b, c] = [endpoint("a"), endpoint("b"), endpoint("c")];

/** How the connections of the suite under way take unary calls. */
let hasCaller = false;

/** A transport that has made its first call. */
async function setUp(endpoints: readonly Endpoint[], options: Partial<BalancedTransportOptions> = {}) {
  const clock = createManualClock();
  const resolver = createHandResolver(endpoints);
  const fake = createFakeConnector(clock, hasCaller);
  const logger = createRecordingLogger();
  const transport = createBalancedTransport({
    resolver,
    connector: (at, listener) => {
      const connection = fake.connector(at, listener) as FakeConnection;
      // Whoever hangs answers no PING.
      const ping = (onAnswer: () => void) => {
        if (connection.behaviour !== "hang") queueMicrotask(onAnswer);
      };
      return Object.assign(connection, { ping });
    },
    clock,
    logger,
    random: () => 0.5,
    waitForReady: false,
    ...options,
  });
  const client = createClient(EchoService, transport);
  const call = async (timeoutMs?: number) =>
    (await client.unary({ text: "x" }, timeoutMs === undefined ? {} : { timeoutMs })).server;
  const calls = async (count: number) => {
    const servers: string[] = [];
    for (let i = 0; i < count; i++) servers.push(await call());
    return servers.join("");
  };
  return { clock, resolver, fake, logger, transport, client, call, calls };
}

type SetUp = Awaited<ReturnType<typeof setUp>>;

async function connect({ fake, call }: SetUp, ids: string): Promise<void> {
  const first = call();
  for (const id of ids) fake.of(id).becomeReady();
  await first;
}

for (const kind of ["by their transport", "by their caller"]) suite(kind);

function suite(kind: string) {
  describe(`createBalancedTransport() over connections that take calls ${kind}, of which some answer badly,`, () => {
    before(() => {
      hasCaller = kind === "by their caller";
    });

    test("calls no endpoint that fails five times in a row, and probes it before it does again", async () => {
      const all = await setUp([a, b], { slowStartMs: 0 });
      await connect(all, "ab");
      all.fake.of("b").behaviour = "reset";
      let failed = 0;
      for (let i = 0; i < 20; i++) await all.call().catch(() => failed++);
      assert.equal(failed, 5);
      assert.equal(await all.calls(6), "aaaaaa");
      // It is still bad: one call finds out, as no method here may be made again.
      await all.clock.advance(3000);
      const results = await Promise.allSettled([all.call(), all.call(), all.call(), all.call()]);
      assert.equal(results.filter(({ status }) => status === "rejected").length, 1);
      all.fake.of("b").behaviour = "answer";
      assert.equal(await all.calls(4), "aaaa");
      await all.clock.advance(4000);
      const servers = await all.calls(5);
      assert.ok(/^b(ab|ba)+$/.test(servers), servers);
      assert.equal(all.logger.count("endpoint is back"), 1);
      await all.transport.close();
      assert.equal(all.clock.pending, 0);
    });

    test("is out of a hung endpoint within 3 s, where callers have deadlines of 1 s", async () => {
      const all = await setUp([a, b, c]);
      await connect(all, "abc");
      const hung = all.fake.of("b");
      hung.behaviour = "hang";
      let failed = 0;
      let isOver = false;
      const caller = async () => {
        while (!isOver) {
          const before = all.clock.now();
          await all.call(1000).catch((error: unknown) => {
            assert.equal(ConnectError.from(error).code, Code.DeadlineExceeded);
            failed++;
          });
          if (all.clock.now() === before) await new Promise((resolve) => all.clock.schedule(50, () => resolve(0)));
        }
      };
      const callers = Array.from({ length: 8 }, caller);
      await all.clock.advance(3000);
      const failedBy3s = failed + hung.hanging;
      await all.clock.advance(1500);
      isOver = true;
      await all.clock.advance(1500);
      await Promise.all(callers);
      assert.equal(failedBy3s, failed);
      assert.ok(failed <= 16, `${failed} calls failed`);
      await all.transport.close();
      assert.equal(all.clock.pending, 0);
    });

    test("opens another connection to a server of which nothing has come for long", async () => {
      const all = await setUp([a, b], { slowStartMs: 0, outlierDetection: { consecutiveFailures: false } });
      await connect(all, "ab");
      const silent = all.fake.of("b");
      silent.behaviour = "hang";
      const late = Promise.allSettled([all.call(1000), all.call(1000)]);
      await all.clock.advance(3000);
      await late;
      assert.equal(await all.calls(3), "aaa");
      await all.clock.advance(60_000);
      assert.match(String(silent.closedWith), /has not answered a PING in 20000 ms/);
      // The way there is another by now.
      const next = all.fake.of("b");
      assert.notEqual(next, silent);
      next.becomeReady();
      // Calls that may not be made twice are probes only where there have been no others for a while.
      await all.clock.advance(2000);
      assert.match(await all.calls(4), /b/);
      await all.transport.close();
      assert.equal(all.clock.pending, 0);
    });

    test("goes on calling those that answer badly where nobody else is connected", async () => {
      const all = await setUp([a, b]);
      await connect(all, "ab");
      all.fake.of("b").behaviour = "reset";
      for (let i = 0; i < 12; i++) await all.call().catch(() => {});
      assert.equal(await all.calls(3), "aaa");
      all.fake.of("a").lose();
      const error = await rejection(all.call());
      assert.equal(error.rawMessage, "b reset");
      await all.transport.close();
    });

    test("leaves them in use with outlierDetection: false, and as a service config has it", async () => {
      const off = await setUp([a, b], { outlierDetection: false });
      await connect(off, "ab");
      off.fake.of("b").behaviour = "reset";
      let failed = 0;
      for (let i = 0; i < 20; i++) await off.call().catch(() => failed++);
      assert.equal(failed, 10);
      await off.transport.close();
    });

    test("watches nobody where there are no calls", async () => {
      const all = await setUp([a, b], { idleTimeoutMs: Number.POSITIVE_INFINITY });
      await connect(all, "ab");
      await all.calls(3);
      await all.clock.advance(10_000);
      assert.equal(all.clock.pending, 0);
      // The turns go on as before.
      assert.equal((await all.calls(4)).length, 4);
      assert.ok(all.clock.pending > 0);
      await all.transport.close();
      assert.equal(all.clock.pending, 0);
    });

    test("gives one that joins all of its turns at once, and a growing share with slowStartMs", async () => {
      for (const [slowStartMs, chance, expected] of [
        [undefined, 0.5, /^(abc|bca|cab){2}$/],
        [10_000, 0.5, /^[ab]{6}$/],
        [10_000, 0.05, /^(abc|bca|cab){2}$/],
      ] as const) {
        const all = await setUp([a, b, c], {
          random: () => chance,
          settleMs: 0,
          ...(slowStartMs === undefined ? {} : { slowStartMs }),
        });
        const first = all.call();
        for (const id of "ab") all.fake.of(id).becomeReady();
        await all.clock.advance(0);
        await first;
        all.fake.of("c").becomeReady();
        assert.match(await all.calls(6), expected);
        await all.clock.advance(6000);
        assert.match(await all.calls(6), /^(abc|bca|cab){2}$/);
        await all.clock.advance(6000);
        assert.match(await all.calls(6), /^(abc|bca|cab){2}$/);
        await all.transport.close();
      }
    });

    test("calls those with a warning only while too few others are connected", async () => {
      const ill = endpoint("c", { health: "warning" });
      const all = await setUp([a, b, ill]);
      await connect(all, "abc");
      assert.match(await all.calls(4), /^(abab|baba)$/);
      all.fake.of("a").lose();
      assert.match(await all.calls(4), /^(bcbc|cbcb)$/);
      all.fake.of("b").lose();
      assert.equal(await all.calls(2), "cc");
      await all.transport.close();
    });

    test("closes its connections after idleTimeoutMs without a call, and opens them with the next", async () => {
      const all = await setUp([a, b], { idleTimeoutMs: 60_000 });
      await connect(all, "ab");
      await all.clock.advance(50_000);
      await all.call();
      await all.clock.advance(50_000);
      assert.equal(all.fake.of("a").state.type, "ready");
      await all.clock.advance(30_000);
      assert.equal(all.fake.of("a").state.type, "closed");
      assert.equal(all.fake.opened.length, 2);
      assert.equal(all.clock.pending, 0);
      // Endpoints are followed meanwhile, and not connected to.
      all.resolver.push([b, c]);
      assert.equal(all.fake.opened.length, 2);
      const next = all.call();
      for (const id of "bc") all.fake.of(id).becomeReady();
      assert.match(await next, /^[bc]$/);
      assert.match(await all.calls(2), /^(bc|cb)$/);
      assert.equal(all.fake.opened.length, 4);
      await all.transport.close();
      assert.equal(all.clock.pending, 0);
    });

    test("is not idle while a call is under way", async () => {
      const all = await setUp([a], { idleTimeoutMs: 60_000 });
      await connect(all, "a");
      all.fake.of("a").behaviour = "hang";
      const hanging = all.call(300_000).catch(() => "timed out");
      await all.clock.advance(290_000);
      assert.equal(all.fake.of("a").state.type, "ready");
      await all.clock.advance(10_000);
      assert.equal(await hanging, "timed out");
      await all.transport.close();
    });
  });
}

describe("createBalancedTransport() that cannot connect", () => {
  test("counts the time from one attempt to the next from its beginning, as gRPC's document has it", async () => {
    const { clock, fake, transport, call } = await setUp([a], { backoff: { jitter: 0 } });
    const first = call().catch(() => {});
    await clock.advance(600);
    fake.of("a").lose();
    await first;
    await clock.advance(399);
    assert.equal(fake.opened.length, 1);
    await clock.advance(1);
    assert.equal(fake.opened.length, 2);
    // An attempt that took longer than the pause is followed by the next at once.
    await clock.advance(20_000);
    fake.of("a").lose();
    await clock.advance(0);
    assert.equal(fake.opened.length, 3);
    await transport.close();
  });

  test("tries again at once where there is news of the endpoint, and begins with the first pause then", async () => {
    const { clock, resolver, fake, transport, call } = await setUp([a], { backoff: { jitter: 0 } });
    const first = call().catch(() => {});
    await clock.advance(0);
    for (let i = 0; i < 6; i++) {
      fake.of("a").lose();
      await clock.advance(120_000);
    }
    await first;
    fake.of("a").lose();
    const before = fake.opened.length;
    resolver.push([endpoint("a")]);
    assert.equal(fake.opened.length, before);
    resolver.push([endpoint("a", { meta: { version: "2" } })]);
    assert.equal(fake.opened.length, before + 1);
    fake.of("a").lose();
    await clock.advance(1000);
    assert.equal(fake.opened.length, before + 2);
    await transport.close();
    assert.equal(clock.pending, 0);
  });
});

/** A connection's health service, in memory. */
function serveHealth(connection: FakeConnection, watch: (service: string) => AsyncIterable<{ status: Status }>): void {
  const health = createRouterTransport(({ service }) => {
    service(Health, { watch: (request) => watch(request.service) });
  });
  const { transport } = connection;
  Object.assign(connection, {
    transport: {
      unary: transport.unary,
      stream: (...call: Parameters<typeof transport.stream>) =>
        call[0].parent.typeName === Health.typeName ? health.stream(...call) : transport.stream(...call),
    },
  });
}

describe("createBalancedTransport() with healthCheck", () => {
  /** A status that the test changes. */
  function createStatus(first: Status) {
    let status = first;
    let wake = Promise.withResolvers<void>();
    return {
      set(next: Status) {
        status = next;
        wake.resolve();
        wake = Promise.withResolvers();
      },
      async *watch() {
        for (;;) {
          const { promise } = wake;
          yield { status };
          await promise;
        }
      },
    };
  }

  async function watched(
    options: Partial<BalancedTransportOptions>,
    services: ((name: string) => AsyncIterable<{ status: Status }>)[],
  ) {
    let opened = 0;
    const clock = createManualClock();
    const fake = createFakeConnector(clock, false);
    const all = await setUp([a, b].slice(0, services.length), {
      clock,
      connector: (at, listener) => {
        const connection = fake.connector(at, listener);
        const watch = services[opened++ % services.length];
        if (watch !== undefined) serveHealth(connection as FakeConnection, watch);
        return connection;
      },
      ...options,
    });
    return { ...all, clock, fake };
  }

  test("calls a server only while it says SERVING of the service", async () => {
    hasCaller = false;
    const asked: string[] = [];
    const [first, second] = [createStatus(Status.SERVING), createStatus(Status.NOT_SERVING)];
    const all = await watched({ healthCheck: { service: "echo" } }, [
      (name) => {
        asked.push(name);
        return first.watch();
      },
      () => second.watch(),
    ]);
    const call = all.call();
    for (const id of "ab") all.fake.of(id).becomeReady();
    assert.equal(await call, "a");
    assert.deepEqual(asked, ["echo"]);
    assert.equal(await all.calls(3), "aaa");
    second.set(Status.SERVING);
    await until(async () => /^(ab|ba)$/.test(await all.calls(2)));
    first.set(Status.NOT_SERVING);
    await until(async () => (await all.calls(2)) === "bb");
    second.set(Status.SERVICE_UNKNOWN);
    await until(async () =>
      all.call().then(
        () => false,
        (error: unknown) => /says of echo: (SERVICE_UNKNOWN|NOT_SERVING)/.test(String(error)),
      ),
    );
    assert.equal(all.fake.opened.length, 2);
    await all.transport.close();
  });

  test("takes a server without the health service for a healthy one", async () => {
    const all = await watched({ healthCheck: true }, [
      // biome-ignore lint/correctness/useYield: it fails before
      async function* () {
        throw new ConnectError("no such service", Code.Unimplemented);
      },
    ]);
    const call = all.call();
    all.fake.of("a").becomeReady();
    assert.equal(await call, "a");
    assert.equal(all.logger.count("has no health service"), 1);
    await all.transport.close();
  });

  test("asks again after a backoff where the watch breaks", async () => {
    let asked = 0;
    const all = await watched({ serviceConfig: { healthCheckConfig: { serviceName: "echo" } }, waitForReady: true }, [
      async function* () {
        if (++asked === 1) throw new ConnectError("broken", Code.Internal);
        yield { status: Status.SERVING };
        await new Promise(() => {});
      },
    ]);
    const call = all.call();
    all.fake.of("a").becomeReady();
    await until(() => asked === 1);
    await pause(5);
    await all.clock.advance(900);
    assert.equal(asked, 1);
    await all.clock.advance(200);
    assert.equal(await call, "a");
    assert.equal(asked, 2);
    await all.transport.close();
  });
});

describe("healthTier()", () => {
  test("keeps those with a warning out while enough others pass", () => {
    const ill = endpoint("d", { health: "warning" });
    const ids = (known: number, percent: number, ...ready: Endpoint[]) =>
      healthTier(ready, known, percent)
        .map(({ id }) => id)
        .join("");
    assert.equal(ids(4, 50, a, b, ill), "ab");
    assert.equal(ids(4, 50, a, ill), "ad");
    assert.equal(ids(4, 0, a, ill), "a");
    assert.equal(ids(4, 100, a, b, c, ill), "abcd");
    assert.equal(ids(1, 50, ill), "d");
    assert.equal(ids(4, 0), "");
  });
});
