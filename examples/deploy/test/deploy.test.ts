// What can be said of files for Docker and systemd where neither runs: they are well-formed, they name what is there, and they
// give a server the time that it needs to leave.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { parseEnv } from "node:util";
import { Ajv } from "ajv";
import { validate as lintDockerfile } from "dockerfile-utils";
import { parse as parseYaml } from "yaml";
// https://github.com/compose-spec/compose-spec/blob/main/schema/compose-spec.json, Apache-2.0.
import composeSchema from "./compose-spec.json" with { type: "json" };

const folder = fileURLToPath(new URL("../", import.meta.url));
const context = fileURLToPath(new URL("../../../", import.meta.url));
const read = (name: string): string => readFileSync(join(folder, name), "utf8");

/** 5 s until Consul has forgotten the instance, 1 s of margin, 10 s of grace, 2 s for the connections' ends. */
const longestDrainSeconds = 18;

describe("compose.yaml", () => {
  const isCompose = new Ajv({ strict: false, validateSchema: false, validateFormats: false }).compile(composeSchema);
  const compose = parseYaml(read("compose.yaml"), { merge: true });

  test("is as the Compose specification has it", () => {
    assert.ok(isCompose(compose), JSON.stringify(isCompose.errors, undefined, 2));
    assert.ok(!isCompose({ services: { server: { image: "x", stop_grace_perod: "30s" } } }), "the check checks");
  });

  test("names what is there, and lets servers drain", () => {
    const { services } = compose;
    assert.deepEqual(Object.keys(services), ["consul", "server", "client"]);
    for (const { build } of [services.server, services.client]) {
      assert.equal(join(folder, build.context, "/"), context);
      assert.ok(existsSync(join(folder, build.context, build.dockerfile)), build.dockerfile);
    }
    assert.equal(services.server.deploy.replicas, 2);
    assert.ok(secondsOf(services.server.stop_grace_period) > longestDrainSeconds);
    for (const { depends_on, environment } of [services.server, services.client]) {
      assert.equal(depends_on.consul.condition, "service_healthy");
      assert.equal(environment.CONSUL_HTTP_ADDR, "http://consul:8500");
    }
  });
});

describe("Dockerfile", () => {
  const text = read("Dockerfile");

  test("is well-formed", () => {
    assert.deepEqual(lintDockerfile(text), []);
    assert.notDeepEqual(lintDockerfile("FROM node\nENTRYPIONT node"), [], "the check checks");
  });

  test("copies what is there", () => {
    const copied = [...text.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, sources = ""]) => sources.split(" "));
    assert.ok(copied.length > 3);
    for (const source of copied) assert.ok(globSync(source, { cwd: context }).length > 0, source);
  });

  test("runs as nobody in particular, and gets signals itself", () => {
    const last = text.slice(text.lastIndexOf("\nFROM "));
    assert.match(last, /^USER node$/m);
    assert.match(last, /^CMD \["node", "server\.ts"\]$/m);
    assert.doesNotMatch(last, /^(ENTRYPOINT|CMD) [^[]/m);
  });
});

describe("thermometer.service", () => {
  const systemd = spawnSync("systemd-analyze", ["--version"]).status === 0;
  const skip = systemd || process.env.CI === "true" ? false : "no systemd-analyze (Debian's package systemd)";
  if (skip) process.stderr.write(`SKIPPED: ${skip}\n`);

  test("is well-formed, and locks the server in", { skip }, () => {
    assert.equal(verify(read("thermometer.service")), "");
    assert.match(verify("[Service]\nExecStart=/bin/true\nKilMode=mixed\n"), /KilMode/, "the check checks");
  });

  test("lets the server drain", () => {
    const [, timeout = ""] = /^TimeoutStopSec=(.+)$/m.exec(read("thermometer.service")) ?? [];
    assert.ok(secondsOf(timeout) > longestDrainSeconds);
  });

  test("thermometer.env holds what is read, and no secret", () => {
    const names = Object.keys(parseEnv(read("thermometer.env")));
    assert.deepEqual(names.toSorted(), ["CONSUL_HTTP_ADDR", "HOST", "PORT"]);
  });
});

/** What systemd complains about in a unit. The program that it starts need not be on this machine. */
function verify(unit: string): string {
  const scratch = mkdtempSync(join(tmpdir(), "thermometer-"));
  try {
    const path = join(scratch, "thermometer.service");
    writeFileSync(path, unit.replace(/^ExecStart=\S+/m, "ExecStart=/bin/true"));
    const { stdout, stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", path], { encoding: "utf8" });
    return stdout + stderr;
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

function secondsOf(text: string): number {
  const [, seconds] = /^(\d+)s$/.exec(text) ?? [];
  return Number(seconds);
}
