import assert from "node:assert/strict";
import { test } from "node:test";
import { findConsulArchive } from "./apt-mirror.ts";

const deb822 = `Types: deb
# a comment
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main

Types: deb-src
URIs: http://sources.example/debian
Suites: bookworm

Types: deb
Enabled: no
URIs: http://off.example/debian
Suites: bookworm

Types: deb deb-src
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
`;

test("findConsulArchive() finds the mirror in deb822 sources when others are security, sources only or disabled", () => {
  const archive = findConsulArchive([{ name: "debian.sources", text: deb822 }]);
  assert.equal(archive?.uri, "http://mirror.example/debian");
  assert.equal(archive?.suite, "bullseye");
});

test("findConsulArchive() finds the mirror in one-line sources when it has options", () => {
  const text = `# deb http://comment.example/debian bookworm main
deb-src http://sources.example/debian bookworm main
deb [arch=amd64 signed-by=/k.gpg] https://other.example/apt stable main
deb http://security.example/debian-security bookworm-security main
deb [signed-by=/k.gpg] http://archive.example/ubuntu noble main universe
`;
  const archive = findConsulArchive([{ name: "sources.list", text }]);
  assert.deepEqual(
    [archive?.uri, archive?.suite, archive?.component],
    ["http://archive.example/ubuntu", "jammy", "universe"],
  );
});

test("findConsulArchive() returns undefined when no source is a mirror of Debian or Ubuntu", () => {
  assert.equal(findConsulArchive([{ name: "a.list", text: "deb http://x.example/apt stable main\n" }]), undefined);
  assert.equal(findConsulArchive([]), undefined);
});
