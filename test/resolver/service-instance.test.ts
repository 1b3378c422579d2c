import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readInstances } from "../../src/resolver/service-instance.ts";
import { type EntryOptions, serviceEntry } from "../support/service-entry.ts";

function read(entries: readonly EntryOptions[], passingOnly = true) {
  const unusable: [string, string][] = [];
  const instances = readInstances(entries.map(serviceEntry), passingOnly, (id, reason) => unusable.push([id, reason]));
  return { instances, unusable };
}

const hostPortOf = (options: EntryOptions) => read([options]).instances[0]?.hostPort;

describe("readInstances()", () => {
  test("reads everything an endpoint has", () => {
    const { instances, unusable } = read([
      { service: { Tags: ["b", "a"], Meta: { version: "2" }, Weights: { Passing: 7, Warning: 3 } } },
    ]);
    assert.deepEqual(instances, [
      {
        id: "n1/a",
        hostPort: "10.0.0.1:10000",
        weight: 7,
        health: "passing",
        zone: "dc1",
        tags: ["b", "a"],
        meta: { version: "2" },
      },
    ]);
    assert.deepEqual(unusable, []);
  });

  test("turns null tags and meta and absent weights into defaults", () => {
    const entry = serviceEntry({ service: { Tags: null, Meta: null } });
    const { Weights: _, ...service } = entry.Service;
    const [instance] = readInstances([{ ...entry, Service: service }], true, () => {});
    assert.deepEqual([instance?.tags, instance?.meta, instance?.weight], [[], {}, 1]);
  });

  test("sorts by node and id, and tells the same id on two nodes apart", () => {
    const other = { Address: "10.0.0.2" };
    const { instances } = read([{ id: "b" }, { id: "a", node: "n2", service: other }, { id: "B" }, { id: "a" }]);
    assert.deepEqual(
      instances.map(({ id }) => id),
      ["n1/B", "n1/a", "n1/b", "n2/a"],
    );
  });

  test("takes one that two nodes list at the same address for one, which passes if either does", () => {
    const twice = [{ id: "a", node: "n2" }, { id: "a" }, { id: "b", node: "n2" }];
    const ids = (entries: Parameters<typeof read>[0], known: readonly string[] = []) =>
      readInstances(
        entries.map((entry) => serviceEntry(entry)),
        false,
        () => {},
        (id) => known.includes(id),
      ).map(({ id }) => id);
    assert.deepEqual(ids(twice), ["n1/a", "n2/b"]);
    assert.deepEqual(
      ids([
        { id: "a", node: "n2" },
        { id: "a", checks: ["warning"] },
      ]),
      ["n2/a"],
    );
    assert.deepEqual(
      ids([
        { id: "a", node: "n2" },
        { id: "a", checks: ["critical"] },
      ]),
      ["n2/a"],
    );
    // It stays who it was while that holds.
    assert.deepEqual(ids(twice, ["n2/a"]), ["n2/a", "n2/b"]);
  });

  test("uses the node's address where the service has none", () => {
    assert.equal(hostPortOf({ service: { Address: "" } }), "10.9.9.9:10000");
  });

  test("puts IPv6 in brackets, with or without brackets in Consul", () => {
    assert.equal(hostPortOf({ service: { Address: "::1" } }), "[::1]:10000");
    assert.equal(hostPortOf({ service: { Address: "[fe80::1]" } }), "[fe80::1]:10000");
    assert.equal(hostPortOf({ nodeAddress: "fd00::2", service: { Address: "" } }), "[fd00::2]:10000");
  });

  test("takes the default of several named ports, else the first", () => {
    const named = [
      { name: "a", port: 1 },
      { name: "b", port: 2, default: true },
    ];
    assert.equal(hostPortOf({ service: { Port: 0, Ports: named } }), "10.0.0.1:2");
    assert.equal(hostPortOf({ service: { Port: 0, Ports: named.slice(0, 1) } }), "10.0.0.1:1");
  });

  test("skips what cannot be connected to and says why", () => {
    const bad: readonly [EntryOptions["service"], RegExp][] = [
      [{ Port: 0 }, /no usable port: 0/],
      [{ Port: -1 }, /no usable port: -1/],
      [{ Port: 99_999_999 }, /no usable port/],
      [{ Port: 0, Ports: [] }, /no usable port/],
      [{ Port: 0, Ports: null }, /no usable port/],
      [{ Address: "not a host!!" }, /no usable address: "not a host!!"/],
      [{ Address: "host/path" }, /no usable address/],
      [{ Address: "user@host" }, /no usable address/],
      [{ Address: "fe80::1%eth0" }, /no usable address/],
      [{ Address: "1.2.3.4.5" }, /no usable address/],
    ];
    for (const [service, reason] of bad) {
      const { instances, unusable } = read([{ ...(service !== undefined && { service }) }, { id: "good" }]);
      assert.deepEqual(
        instances.map(({ id }) => id),
        ["n1/good"],
      );
      assert.equal(unusable.length, 1);
      assert.equal(unusable[0]?.[0], "n1/a");
      assert.match(unusable[0]?.[1] ?? "", reason);
    }
    assert.equal(read([{ nodeAddress: "", service: { Address: "" } }]).unusable.length, 1);
  });

  test("leaves out warning instances when passing only, critical ones always", () => {
    const entries: EntryOptions[] = [
      { id: "none", checks: [] },
      { id: "pass" },
      { id: "warn", checks: ["passing", "warning"], service: { Weights: { Passing: 10, Warning: 2 } } },
      { id: "fail", checks: ["warning", "critical"] },
    ];
    const ids = (passingOnly: boolean) => read(entries, passingOnly).instances.map(({ id }) => id);
    assert.deepEqual(ids(true), ["n1/none", "n1/pass"]);
    assert.deepEqual(ids(false), ["n1/none", "n1/pass", "n1/warn"]);
    const warn = read(entries, false).instances.find(({ id }) => id === "n1/warn");
    assert.deepEqual([warn?.health, warn?.weight], ["warning", 2]);
  });

  test("keeps weights within 1 to 65535", () => {
    const weight = (Warning: number) =>
      read([{ checks: ["warning"], service: { Weights: { Passing: 1, Warning } } }], false).instances[0]?.weight;
    assert.deepEqual([weight(0), weight(1), weight(70_000)], [1, 1, 65535]);
  });
});
