import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConsulAddress } from "../../src/consul/consul-address.ts";

test("parseConsulAddress() reads every form of an address", () => {
  const forms: [text: string, address: string, baseUrl: string, exposed: boolean][] = [
    ["127.0.0.1:8500", "http://127.0.0.1:8500", "http://127.0.0.1:8500", false],
    ["localhost:8500", "http://localhost:8500", "http://localhost:8500", false],
    ["[::1]:8500", "http://[::1]:8500", "http://[::1]:8500", false],
    ["http://127.9.8.7", "http://127.9.8.7", "http://127.9.8.7", false],
    ["http://agent.localhost:1", "http://agent.localhost:1", "http://agent.localhost:1", false],
    ["http://[::ffff:127.0.0.1]:1", "http://[::ffff:7f00:1]:1", "http://[::ffff:7f00:1]:1", false],
    ["consul.example:8500", "http://consul.example:8500", "http://consul.example:8500", true],
    ["http://127.0.0.1.example:8500", "http://127.0.0.1.example:8500", "http://127.0.0.1.example:8500", true],
    ["http://notlocalhost", "http://notlocalhost", "http://notlocalhost", true],
    ["http://10.0.0.1:8500/", "http://10.0.0.1:8500", "http://10.0.0.1:8500", true],
    ["HTTPS://Consul.Example/consul/", "https://consul.example/consul", "https://consul.example/consul", false],
    ["consul.example/prefix", "http://consul.example/prefix", "http://consul.example/prefix", true],
    ["unix:///run/consul.sock", "unix:///run/consul.sock", "http://localhost", false],
  ];
  for (const [text, address, baseUrl, exposed] of forms) {
    assert.deepEqual(parseConsulAddress(text), { address, baseUrl, exposed, basicAuth: undefined }, text);
  }
});

test("parseConsulAddress() moves credentials out of the address", () => {
  assert.deepEqual(parseConsulAddress("https://me:p%40ss%3Aword@consul.example"), {
    address: "https://consul.example",
    baseUrl: "https://consul.example",
    exposed: false,
    basicAuth: { username: "me", password: "p@ss:word" },
  });
  assert.deepEqual(parseConsulAddress("me@localhost:1").basicAuth, { username: "me", password: "" });
});

test("parseConsulAddress() throws TypeError when it is no address", () => {
  const bad = [
    "",
    " ",
    "::1",
    "ftp://x",
    "http://",
    "http://a b",
    "x:99999",
    "http://x?a=1",
    "http://x#f",
    "unix://rel",
    "\\x",
  ];
  for (const text of bad) assert.throws(() => parseConsulAddress(text), TypeError, JSON.stringify(text));
});

test("parseConsulAddress() repeats no credentials when it refuses", () => {
  for (const text of [
    "http://me:hunter2@x?a=1",
    "ftp://me:hunter2@x",
    "me:hunter2@a b",
    "http://me:hunter2%ff@x",
    "http://me:hunter2%40x",
    "http://me:hunter2/",
    "http://x/?token=hunter2",
    "http://x/#hunter2",
    "x:8500?token=hunter2",
    "http://x/%3ftoken=hunter2?",
  ]) {
    assert.throws(
      () => parseConsulAddress(text),
      (error) => error instanceof TypeError && !error.message.includes("hunter2"),
      text,
    );
  }
});
