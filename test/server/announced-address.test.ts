import assert from "node:assert/strict";
import type { NetworkInterfaceInfo } from "node:os";
import { describe, test } from "node:test";
import { announcedAddress } from "../../src/server/announced-address.ts";

function info(family: "IPv4" | "IPv6", address: string, internal = false): NetworkInterfaceInfo {
  const common = { address, netmask: "", mac: "", internal, cidr: null };
  return family === "IPv4" ? { ...common, family } : { ...common, family, scopeid: 0 };
}

const machine = () => ({
  lo: [info("IPv4", "127.0.0.1", true), info("IPv6", "::1", true)],
  none: undefined,
  local: [info("IPv4", "169.254.7.7"), info("IPv6", "fe80::1")],
  eth0: [info("IPv6", "2001:db8::5"), info("IPv4", "10.0.0.5")],
  eth1: [info("IPv4", "10.0.0.6")],
});
const v6Machine = () => ({ lo: [info("IPv4", "127.0.0.1", true)], eth0: [info("IPv6", "2001:db8::5")] });
const isolated = () => ({ lo: [info("IPv4", "127.0.0.1", true), info("IPv6", "::1", true)] });

describe("announcedAddress()", () => {
  test("announces the address listened on", () => {
    const never = () => assert.fail("asked for interfaces");
    assert.deepEqual(announcedAddress({ host: "127.0.0.1", port: 5 }, undefined, never), {
      host: "127.0.0.1",
      port: 5,
    });
    assert.deepEqual(announcedAddress({ host: "::1", port: 5 }, {}, never), { host: "::1", port: 5 });
  });

  test("takes host and port from advertise, each by itself", () => {
    const listening = { host: "0.0.0.0", port: 5 };
    assert.deepEqual(announcedAddress(listening, { host: "a.example" }, machine), { host: "a.example", port: 5 });
    assert.deepEqual(announcedAddress(listening, { port: 9 }, machine), { host: "10.0.0.5", port: 9 });
    assert.deepEqual(announcedAddress(listening, { host: "b", port: 9 }, machine), { host: "b", port: 9 });
  });

  for (const host of ["0.0.0.0", "::", "[::]", "0:0:0:0:0:0:0:0"]) {
    test(`announces the first IPv4 address that others can reach for ${host}`, () => {
      assert.equal(announcedAddress({ host, port: 5 }, {}, machine).host, "10.0.0.5");
    });
  }

  test("announces an IPv6 address for :: where there is no such IPv4 address, but not for 0.0.0.0", () => {
    assert.equal(announcedAddress({ host: "::", port: 5 }, {}, v6Machine).host, "2001:db8::5");
    assert.equal(announcedAddress({ host: "0.0.0.0", port: 5 }, {}, v6Machine).host, "127.0.0.1");
  });

  test("announces loopback on a machine that has nothing else", () => {
    assert.equal(announcedAddress({ host: "0.0.0.0", port: 5 }, {}, isolated).host, "127.0.0.1");
    assert.equal(announcedAddress({ host: "::", port: 5 }, {}, isolated).host, "::1");
  });
});
