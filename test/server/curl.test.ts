// curl, the client that everybody has, calls our server: the lines of the README, and what people do with them.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import { createHelloService } from "../../src/hello/hello-service.ts";
import { serve } from "../../src/server/serve.ts";
import type { Server } from "../../src/server/server.ts";
import { makeCertificates } from "../support/certificates.ts";
import { createEchoService } from "../support/echo-service.ts";
import { http2Kinds } from "../support/http2-kinds.ts";
import { spawnCommand } from "../support/spawn-command.ts";

/** Where there is no curl the cases are skipped; where CI=true they fail. */
const skip: string | false =
  spawnSync("curl", ["--version"]).status === 0 || process.env.CI === "true" ? false : "no curl on this machine";
if (skip !== false) console.error(`!!! ${skip}: what it does with our server is not tested`);

const hello = "/HelloService_proto.HelloService/SayHello";
const echo = "/lictor.test.v1.EchoService/Unary";
const asJson = ["-H", "Content-Type: application/json"];

/** Runs curl; its answer, without the progress meter. */
async function curl(...args: readonly string[]): Promise<string> {
  await using command = spawnCommand("curl", ["--silent", "--show-error", "--max-time", "20", ...args]);
  assert.equal(await command.exitCode, 0, command.stderr);
  return command.stdout;
}

const certificates = makeCertificates();

const places = [
  ["in cleartext", undefined],
  ["with TLS", certificates.server],
] as const;

for (const [where, tls, http2] of places.flatMap((place) => http2Kinds.map((kind) => [...place, kind] as const))) {
  describe(`curl, ${where}, http2: "${http2}"`, { skip }, () => {
    let server: Server;
    let url: string;
    let folder: string;
    const versions =
      tls === undefined
        ? {
            "HTTP/1.1": [],
            "HTTP/2 by prior knowledge": ["--http2-prior-knowledge"],
            "HTTP/1.1 asking for h2c": ["--http2"],
          }
        : { "HTTP/1.1": ["--http1.1"], "HTTP/2": ["--http2"] };
    before(async () => {
      const hellos = createHelloService({ address: { host: "127.0.0.1", port: 10000 } });
      const echoes = createEchoService();
      server = serve({
        http2,
        routes(router) {
          hellos(router);
          echoes(router);
        },
        ...(tls !== undefined && { tls }),
        graceMs: 200,
      });
      ({ url } = await server.ready);
      folder = mkdtempSync(join(tmpdir(), "lictor-curl-"));
      writeFileSync(join(folder, "ca.pem"), certificates.ca);
    });
    after(async () => {
      await server?.close();
      if (folder !== undefined) rmSync(folder, { recursive: true });
    });
    const secure = () => (tls === undefined ? [] : ["--cacert", join(folder, "ca.pem")]);

    for (const [version, flags] of Object.entries(versions)) {
      if (!version.startsWith("HTTP/2") && http2 !== http2Kinds[0]) continue;
      test(`posts JSON by ${version}`, async () => {
        const answer = await curl(
          ...secure(),
          ...flags,
          ...asJson,
          "-d",
          '{"name":"curl","num1":1,"num2":2}',
          url + hello,
        );
        assert.equal(answer, '{"message":"Hello! curl!This is Server: 127.0.0.1:10000","result":3}');
      });

      test(`gets by ${version} what has no side effects`, async () => {
        const query = ["-d", "encoding=json", "--data-urlencode", 'message={"name":"curl","num1":1,"num2":2}'];
        const answer = await curl(...secure(), ...flags, "--get", ...query, url + hello);
        assert.equal(answer, '{"message":"Hello! curl!This is Server: 127.0.0.1:10000","result":3}');
      });

      test(`is told by ${version} what went wrong, with a status that --fail understands`, async () => {
        const format = ["-o", "-", "-w", " %{http_code}"];
        const post = (path: string, body: string) =>
          curl(...secure(), ...flags, ...format, ...asJson, "-d", body, url + path);
        assert.equal(await post(echo, '{"failCode":5}'), '{"code":"not_found","message":"asked to fail"} 404');
        assert.match(await post(hello, "{"), /^\{"code":"invalid_argument","message":".*"\} 400$/);
        assert.equal(
          await curl(...secure(), ...flags, ...format, "-d", "{}", url + hello),
          "Unsupported Media Type 415",
        );
        assert.equal(await curl(...secure(), ...flags, ...format, url + echo), "Method Not Allowed 405");
      });

      test(`sends a large file by ${version} and unpacks what comes back`, async () => {
        const text = "x".repeat(2 * 1024 * 1024);
        const file = join(folder, "large.json");
        writeFileSync(file, JSON.stringify({ text }));
        // curl waits for 100 Continue before a body of this size, by HTTP/1.1.
        const flat = await curl(
          ...secure(),
          ...flags,
          "--compressed",
          ...asJson,
          "--data-binary",
          `@${file}`,
          url + echo,
        );
        assert.equal(JSON.parse(flat).text.length, text.length);
        const chunked = [...asJson, "-H", "Transfer-Encoding: chunked", "--data-binary", `@${file}`];
        if (version !== "HTTP/1.1") return;
        assert.equal(JSON.parse(await curl(...secure(), ...flags, ...chunked, url + echo)).text.length, text.length);
      });

      test(`is refused by ${version} a file that is too large, and told so`, async () => {
        const file = join(folder, "too-large.json");
        writeFileSync(file, JSON.stringify({ text: "x".repeat(5 * 1024 * 1024) }));
        const answer = await curl(...secure(), ...flags, ...asJson, "--data-binary", `@${file}`, url + echo);
        assert.equal(JSON.parse(answer).code, "resource_exhausted");
      });
    }

    test("calls several times over one connection", async () => {
      const answers = await curl(
        ...secure(),
        ...["-w", " %{num_connects}\\n"],
        ...asJson,
        ...["-d", '{"num1":1}'],
        ...[url + hello, url + hello, url + hello],
      );
      assert.deepEqual(
        answers
          .trim()
          .split("\n")
          .map((line) => line.slice(line.lastIndexOf("}") + 1)),
        [" 1", " 0", " 0"],
      );
    });
  });
}
