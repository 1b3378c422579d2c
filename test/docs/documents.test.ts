import assert from "node:assert/strict";
import { existsSync, globSync, readdirSync, readFileSync } from "node:fs";
import { posix } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { anchors, codeSpans, links } from "../support/markdown.ts";

const root = new URL("../../", import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, root), "utf8");
const exists = (path: string): boolean => existsSync(new URL(path, root));
const manifest = JSON.parse(read("package.json"));

const documents = [
  ...readdirSync(root).filter((name) => name.endsWith(".md")),
  ...globSync(["docs/**/*.md", "examples/**/*.md"], { cwd: fileURLToPath(root) })
    .map((path) => path.replaceAll("\\", "/"))
    .filter((path) => !path.includes("node_modules/")),
];

describe("the documents", () => {
  test("are there", () => {
    for (const name of ["README", "ARCHITECTURE", "CONTRIBUTING", "SECURITY", "CHANGELOG"]) {
      assert.ok(documents.includes(`${name}.md`), name);
    }
    assert.match(read("LICENSE"), /Apache License\s+Version 2\.0[\s\S]+END OF TERMS AND CONDITIONS/);
  });

  for (const document of documents) {
    const text = read(document);
    // An example is a project of its own, run from its own folder.
    const [project = ""] = /^examples\/[\w-]+\/(?=.)/.exec(document) ?? [];
    const scripts = {
      ...manifest.scripts,
      ...(exists(`${project}package.json`) ? JSON.parse(read(`${project}package.json`)).scripts : {}),
    };
    const isThere = (path: string): boolean => exists(path) || exists(project + path);

    test(`${document} links to what there is`, () => {
      for (const link of links(text)) {
        if (/^https?:/.test(link.target)) continue;
        const [path = "", anchor] = link.target.split("#");
        const target = path === "" ? document : posix.join(posix.dirname(document), path);
        assert.ok(exists(target), `${link.target}: no such file`);
        if (anchor !== undefined) assert.ok(anchors(read(target)).has(anchor), `${link.target}: no such heading`);
        // A link named after a symbol goes to the file that declares it.
        const [, symbol] = /^`(\w+)`$/.exec(link.text) ?? [];
        if (symbol !== undefined && target.endsWith(".ts")) {
          const declaration = new RegExp(`export (?:async )?(?:const|function|class|interface|type) ${symbol}\\b`);
          assert.ok(declaration.test(read(target)), `${target} does not export ${symbol}`);
        }
      }
    });

    test(`${document} names files and scripts that there are`, () => {
      for (const span of codeSpans(text)) {
        if (/^(src|test|bench|proto|gen|examples|\.ci)\/[\w./-]*$/.test(span)) assert.ok(isThere(span), span);
      }
      for (const [, script = ""] of text.matchAll(/\b(?:npm|bun) run ([\w:-]+)(?!\S*\.ts)/g)) {
        assert.ok(script in scripts, `npm run ${script}`);
      }
      for (const [file] of text.matchAll(/(?<![\w./-])(?:test|bench|examples)\/[\w./-]+\.ts\b/g)) {
        if (file !== "test/x.test.ts") assert.ok(isThere(file), file);
      }
    });
  }

  test("ARCHITECTURE.md names every room", () => {
    const architecture = read("ARCHITECTURE.md");
    const rooms = readdirSync(new URL("src/", root), { withFileTypes: true }).filter((entry) => entry.isDirectory());
    assert.ok(rooms.length > 5);
    for (const { name } of rooms) assert.ok(architecture.includes(`\`src/${name}\``), `src/${name}`);
  });

  test("README.md names the versions that the tests run on", () => {
    const readme = read("README.md");
    for (const [name, runtime] of [
      ["Bun", "bun"],
      ["Deno", "deno"],
      ["Node", "node"],
    ] as const) {
      assert.ok(readme.includes(`| ${name} | ${manifest.devDependencies[runtime]} |`), name);
    }
    assert.ok(readme.includes(`lictor-${manifest.version}.tgz`), manifest.version);
  });

  test("README.md names every variable that is read", () => {
    const readme = read("README.md");
    const variables = [...read("src/runtime/consul-from-env.ts").matchAll(/\bCONSUL_\w+/g)].map(([name]) => name);
    assert.ok(variables.length > 5);
    for (const name of variables) assert.ok(readme.includes(`\`${name}\``), name);
  });
});
