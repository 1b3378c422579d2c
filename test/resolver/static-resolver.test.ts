import assert from "node:assert/strict";
import { test } from "node:test";
import type { ResolverSnapshot } from "../../src/resolver/resolver.ts";
import type { StaticEndpoint } from "../../src/resolver/static-endpoint.ts";
import { createStaticResolver } from "../../src/resolver/static-resolver.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";

test("createStaticResolver() gives its list at once, sorted and completed", () => {
  const clock = createManualClock(7);
  const resolver = createStaticResolver(
    ["http://b:2", { url: "https://[::1]", id: "a", weight: 5, zone: "z", tags: ["t"], meta: { k: "v" } }],
    { clock },
  );
  const snapshots: ResolverSnapshot[] = [];
  resolver.subscribe({ onSnapshot: (snapshot) => snapshots.push(snapshot), onError: assert.fail })();
  assert.deepEqual(snapshots, [
    {
      endpoints: [
        {
          id: "a",
          url: "https://[::1]:443",
          weight: 5,
          health: "passing",
          zone: "z",
          tags: ["t"],
          meta: { k: "v" },
        },
        { id: "http://b:2", url: "http://b:2", weight: 1, health: "passing", zone: "", tags: [], meta: {} },
      ],
      stale: false,
      confirmedAtMs: 7,
    },
  ]);
  assert.equal(resolver.description, "the static list https://[::1]:443, http://b:2");
  assert.equal(createStaticResolver([]).description, "an empty static list");
});

test("StaticResolver.update() tells listeners what differs, in order, also from within a listener", async () => {
  const resolver = createStaticResolver(["http://a:1"]);
  const seen: string[] = [];
  const listen = (name: string, also?: (urls: string) => void) =>
    resolver.subscribe({
      onSnapshot({ endpoints }) {
        const urls = endpoints.map(({ url }) => url.slice(7)).join();
        seen.push(`${name} ${urls}`);
        also?.(urls);
      },
      onError: assert.fail,
    });
  const stopOne = listen("one", (urls) => {
    if (urls === "b:1") resolver.update(["http://c:1"]);
  });
  listen("two", (urls) => {
    if (urls === "c:1") stopOne();
  });
  resolver.update(["http://a:1"]);
  resolver.update(["http://b:1"]);
  resolver.update([]);
  assert.deepEqual(seen, ["one a:1", "two a:1", "one b:1", "two b:1", "one c:1", "two c:1", "two "]);
  await resolver.refresh();
});

test("createStaticResolver() refuses what is no list of origins, and update() keeps the old list then", () => {
  const cases: readonly [StaticEndpoint[], RegExp][] = [
    [["localhost:80"], /"url" must be an http or https origin .*: received text without :\/\/$/],
    [["10.0.0.1"], /"url" must be an http or https origin/],
    [["ftp://a"], /"url"/],
    [["http://a/path"], /"url"/],
    [["http://a?q"], /"url"/],
    [["http://a:0"], /"url"/],
    [["http://user:secret@a"], /Cannot list endpoints\[0\] as "url" must be .*: received "http:\/\/…"$/],
    [["http://a", "http://a:80"], /Cannot list endpoints\[1\] as ids must be unique: received that of endpoints\[0\]$/],
    [[{ url: "http://a", weight: 0 }], /"weight" must be an integer from 1 to 65535: received 0/],
    // JavaScript has no compiler to ask.
    ["http://a" as never, /must be a list: received string/],
    [
      ["http://ok", 7 as never],
      /Cannot list endpoints\[1\] as it must be a URL, or an object with a "url": received 7/,
    ],
    [[{ id: "a" } as never], /"url" must be an http or https origin .*: received undefined/],
    [[{ url: "http://a", id: 1 as never }], /"id" must be text: received 1/],
    [[{ url: "http://a", zone: null as never }], /"zone" must be text: received null/],
    [[{ url: "http://a", health: "critical" as never }], /"health" must be passing or warning: received another text/],
    [[{ url: "http://a", tags: "x" as never }], /"tags" must be a list of texts: received string/],
    [[{ url: "http://a", tags: ["x", 5 as never] }], /"tags" must be a list of texts: received 5 at 1/],
    [[{ url: "http://a", meta: { a: 1 } as never }], /"meta" must be an object of texts: received 1 at 0/],
  ];
  const resolver = createStaticResolver(["http://old:1"]);
  for (const [list, message] of cases) {
    const name = /"weight"/.test(message.source) ? "RangeError" : "TypeError";
    assert.throws(() => createStaticResolver(list), { name, message });
    assert.throws(() => resolver.update(list), message);
  }
  assert.equal(resolver.description, "the static list http://old:1");
});
