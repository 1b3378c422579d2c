// Blocking queries over raw HTTP: what wakes them, what does not, and when they give up. Embedded agent and real 1.8.7.
// https://developer.hashicorp.com/consul/api-docs/features/blocking

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Answer, type ContractAgent, contractKinds } from "../support/contract-agent.ts";
import { pause } from "../support/eventually.ts";

/** A watch and something that happens while it waits. `name` is a service's, and a key's, of the case's own. */
interface Case {
  readonly what: string;
  /** Before the watch begins. */
  readonly given?: (run: Run) => Promise<unknown>;
  /** Path without `/v1/`; the name is put in place of `NAME`. */
  readonly watch: string;
  readonly when: (run: Run) => Promise<unknown>;
  /** Undoes what other cases would notice. */
  readonly clean?: (run: Run) => Promise<unknown>;
}

/** What a case does to the agent. */
interface Run {
  readonly name: string;
  register(body?: object): Promise<Answer>;
  deregister(id: string): Promise<Answer>;
  check(rest: string, body?: unknown): Promise<Answer>;
  kv(key: string, value: string): Promise<Answer>;
  unset(key: string): Promise<Answer>;
}

const ttl = { TTL: "600s" };
const withCheck = ({ register }: Run) => register({ Check: { ...ttl, Status: "passing" } });

// Each answers at once, with a higher index.
const wakes: readonly Case[] = [
  {
    what: "a check changes its status",
    given: withCheck,
    watch: "health/service/NAME",
    when: (run) => run.check(`fail/service:${run.name}`),
  },
  {
    what: "a TTL expires",
    given: (run) => run.register({ Check: { TTL: "400ms", Status: "passing" } }),
    watch: "health/service/NAME",
    when: async () => {},
  },
  {
    what: "an instance comes",
    given: withCheck,
    watch: "health/service/NAME",
    when: (run) => run.register({ ID: `${run.name}-2` }),
  },
  { what: "an instance goes", given: withCheck, watch: "health/service/NAME", when: (run) => run.deregister(run.name) },
  {
    what: "meta changes",
    given: withCheck,
    watch: "health/service/NAME",
    when: (run) => run.register({ Meta: { a: "1" } }),
  },
  { what: "the first instance of a name comes", watch: "health/service/NAME", when: (run) => run.register() },
  {
    what: "an instance that the tag hides comes",
    given: (run) => run.register({ Tags: ["a"] }),
    watch: "health/service/NAME?tag=a",
    when: (run) => run.register({ ID: `${run.name}-2` }),
  },
  {
    what: "an instance that passing hides comes",
    given: withCheck,
    watch: "health/service/NAME?passing",
    when: (run) => run.register({ ID: `${run.name}-2`, Check: ttl }),
  },
  {
    what: "an instance that the filter hides changes",
    given: (run) => run.register({ Check: ttl }),
    watch: "health/service/NAME?filter=Service.Port%20%3D%3D%209",
    when: (run) => run.check(`warn/service:${run.name}`),
  },
  {
    what: "the node gets a check",
    given: withCheck,
    watch: "health/service/NAME",
    when: (run) => run.check("register", { Name: run.name, ...ttl }),
    clean: (run) => run.check(`deregister/${run.name}`),
  },
  {
    what: "a check of the service changes, for the list of checks",
    given: withCheck,
    watch: "health/checks/NAME",
    when: (run) => run.check(`fail/service:${run.name}`),
  },
  { what: "a service comes, for the list of services", watch: "catalog/services", when: (run) => run.register() },
  {
    what: "a service goes, for the list of services",
    given: withCheck,
    watch: "catalog/services",
    when: (run) => run.deregister(run.name),
  },
  {
    what: "an instance comes, for the catalog",
    given: withCheck,
    watch: "catalog/service/NAME",
    when: (run) => run.register({ ID: `${run.name}-2` }),
  },
  {
    what: "a check changes, for the node's checks",
    given: withCheck,
    watch: "health/state/any",
    when: (run) => run.check(`fail/service:${run.name}`),
  },
  {
    what: "a key changes",
    given: (run) => run.kv(run.name, "1"),
    watch: "kv/NAME",
    when: (run) => run.kv(run.name, "2"),
  },
  { what: "a key goes", given: (run) => run.kv(run.name, "1"), watch: "kv/NAME", when: (run) => run.unset(run.name) },
  {
    what: "another key changes, for a missing key",
    given: (run) => run.kv(`${run.name}-other`, "1"),
    watch: "kv/NAME",
    when: (run) => run.kv(`${run.name}-other`, "2"),
  },
  {
    what: "a key under a prefix comes",
    given: (run) => run.kv(`${run.name}/a`, "1"),
    watch: "kv/NAME/?recurse",
    when: (run) => run.kv(`${run.name}/b`, "1"),
  },
  {
    what: "a key under a prefix goes",
    given: (run) => run.kv(`${run.name}/a`, "1"),
    watch: "kv/NAME/?keys",
    when: (run) => run.unset(`${run.name}/a`),
  },
];

// Each waits until its time is over, and answers with the index it came with.
const sleeps: readonly Case[] = [
  {
    what: "a check passes again",
    given: withCheck,
    watch: "health/service/NAME",
    when: (run) => run.check(`pass/service:${run.name}`),
  },
  {
    what: "a check passes with another output",
    given: withCheck,
    watch: "health/service/NAME",
    when: (run) => run.check(`pass/service:${run.name}?note=other`),
  },
  { what: "the same registration comes again", given: withCheck, watch: "health/service/NAME", when: withCheck },
  {
    what: "another service comes",
    given: withCheck,
    watch: "health/service/NAME",
    when: (run) => run.register({ Name: `${run.name}-other`, ID: `${run.name}-other` }),
  },
  { what: "a key is written", given: withCheck, watch: "health/service/NAME", when: (run) => run.kv(run.name, "1") },
  {
    what: "a check changes, for the catalog",
    given: withCheck,
    watch: "catalog/service/NAME",
    when: (run) => run.check(`fail/service:${run.name}`),
  },
  {
    what: "a key is written with the same value",
    given: (run) => run.kv(run.name, "1"),
    watch: "kv/NAME",
    when: (run) => run.kv(run.name, "1"),
  },
  {
    what: "another key changes",
    given: (run) => run.kv(run.name, "1"),
    watch: "kv/NAME",
    when: (run) => run.kv(`${run.name}-other`, "1"),
  },
  {
    what: "a key outside the prefix changes",
    given: (run) => run.kv(`${run.name}/a`, "1"),
    watch: "kv/NAME/?recurse",
    when: (run) => run.kv(`${run.name}-other`, "1"),
  },
];

for (const kind of contractKinds) {
  describe(`a blocking query of the ${kind.name}`, { skip: kind.skip }, () => {
    let agent: ContractAgent;
    let cases = 0;
    before(async () => {
      agent = await kind.start();
    });
    after(() => agent?.[Symbol.asyncDispose]());

    const begin = (): Run => {
      const name = `case-${++cases}`;
      return {
        name,
        register: (body) => agent.put("/v1/agent/service/register", { Name: name, ID: name, ...body }),
        deregister: (id) => agent.put(`/v1/agent/service/deregister/${id}`),
        check: (rest, body) => agent.put(`/v1/agent/check/${rest}`, body),
        kv: (key, value) => agent.put(`/v1/kv/${key}`, value),
        unset: (key) => agent.ask("DELETE", `/v1/kv/${key}`),
      };
    };
    const blocking = (path: string, index: number, wait: string) =>
      agent.get(`${path}${path.includes("?") ? "&" : "?"}index=${index}&wait=${wait}`);

    for (const { what, given, watch, when, clean } of wakes) {
      test(`wakes when ${what}`, { timeout: 20_000 }, async () => {
        const run = begin();
        await given?.(run);
        const path = `/v1/${watch.replace("NAME", run.name)}`;
        const first = await agent.get(path);
        const watching = blocking(path, first.index, "15s");
        // Long enough for the watch to wait at the agent, so that it is woken and not just late.
        await pause(30);
        await when(run);
        const answer = await watching;
        assert.ok(answer.index > first.index, `${first.index} -> ${answer.index}`);
        assert.ok(answer.tookMs < 10_000);
        await clean?.(run);
      });
    }

    test("sleeps on when nothing happens that it is about", { timeout: 20_000 }, async () => {
      const outcomes = await Promise.all(
        sleeps.map(async ({ what, given, watch, when }) => {
          const run = begin();
          await given?.(run);
          const path = `/v1/${watch.replace("NAME", run.name)}`;
          const { index } = await agent.get(path);
          const watching = blocking(path, index, "600ms");
          await pause(30);
          await when(run);
          const answer = await watching;
          return { what, isAsleep: answer.tookMs >= 595, moved: answer.index - index, status: answer.status };
        }),
      );
      assert.deepEqual(
        outcomes,
        sleeps.map(({ what }) => ({ what, isAsleep: true, moved: 0, status: 200 })),
      );
    });

    // Alone: the list's index is that of all checks, and a real agent may look again for changes next to its own.
    test("sleeps on when another service's check changes, for the list of checks", async () => {
      const [own, other] = [begin(), begin()];
      await withCheck(own);
      await other.register({ Name: `zz-${other.name}`, Check: ttl });
      const path = `/v1/health/checks/${own.name}`;
      const { index } = await agent.get(path);
      const watching = blocking(path, index, "600ms");
      await pause(30);
      await other.check(`pass/service:${other.name}`);
      const answer = await watching;
      assert.deepEqual([answer.index, answer.tookMs >= 595], [index, true]);
    });

    test("answers at once when its index is 0, old, empty or absent", async () => {
      const run = begin();
      await run.register();
      for (const query of [
        "?index=0&wait=5s",
        "?index=1&wait=5s",
        "?index=&wait=5s",
        "?wait=5s",
        "?index=0&wait=0s",
        "?wait=-5s",
      ]) {
        const answer = await agent.get(`/v1/health/service/${run.name}${query}`);
        assert.deepEqual([answer.status, answer.tookMs < 2000], [200, true]);
      }
    });

    test("answers not before its wait is over, and at most a sixteenth later", async () => {
      const run = begin();
      await run.register();
      const path = `/v1/health/service/${run.name}`;
      const { index } = await agent.get(path);
      // A machine that stood still for the whole of the jitter answers all at once: another round, then.
      let spread = 0;
      for (let round = 0; round < 5 && spread < 2; round++) {
        const answers = await Promise.all(Array.from({ length: 8 }, () => blocking(path, index, "800ms")));
        for (const { tookMs, index: same } of answers) {
          assert.equal(same, index);
          assert.ok(tookMs >= 795 && tookMs < 850 + 400, `${tookMs}`);
        }
        spread = new Set(answers.map(({ tookMs }) => Math.round(tookMs))).size;
      }
      assert.ok(spread > 1, "every wait has its own jitter");
    });

    test("sleeps its whole wait when its index is too large, and answers with the lower one", async () => {
      const run = begin();
      await run.register();
      const path = `/v1/health/service/${run.name}`;
      const watching = blocking(path, 1_000_000, "600ms");
      await pause(30);
      await run.register({ Meta: { changed: "1" } });
      const answer = await watching;
      assert.ok(answer.tookMs >= 595, `${answer.tookMs}`);
      assert.ok(answer.index < 1_000_000);
      assert.match(answer.text, /"changed"/);
    });

    test("wakes for nothing when a name that nobody has is watched and another name dies out", async () => {
      const run = begin();
      await run.register();
      const path = "/v1/health/service/nobody-has-it";
      const first = await agent.get(path);
      const watching = blocking(path, first.index, "4s");
      await pause(30);
      await run.deregister(run.name);
      const answer = await watching;
      assert.ok(answer.index > first.index);
      assert.deepEqual([answer.text.trim(), answer.tookMs < 3500], ["[]", true]);
    });

    test("answers 404 and waits on the index when a key is missing", async () => {
      const run = begin();
      const missing = await agent.get(`/v1/kv/${run.name}`);
      assert.deepEqual([missing.status, missing.text], [404, ""]);
      assert.ok(missing.index >= 1);
      const watching = blocking(`/v1/kv/${run.name}`, missing.index, "4s");
      await pause(30);
      await run.kv(run.name, "here");
      const found = await watching;
      assert.deepEqual([found.status, found.index > missing.index], [200, true]);
    });
  });
}
