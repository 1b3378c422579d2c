import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { UsageError } from "../../src/cli/command-line.ts";
import { loadServiceModule, ModuleError } from "../../src/cli/load-service-module.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";
import { eventually } from "../support/eventually.ts";
import { createRecordingLogger } from "../support/recording-logger.ts";

describe("loadServiceModule()", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "lictor-module-"));
    write("package.json", '{ "type": "module" }');
    // Before anything is loaded from here: Bun looks once what packages there are.
    write("node_modules/pkg/package.json", '{ "name": "pkg", "type": "module", "exports": { "./service": "./s.js" } }');
    write("node_modules/pkg/s.js", "export default { routes() {}, service: 'package' };");
    write("node_modules/only/package.json", '{ "name": "only", "exports": { "import": "./s.mjs" } }');
    write("node_modules/only/s.mjs", "export default () => {};");
  });
  after(() => rmSync(folder, { recursive: true }));

  function write(name: string, text: string): string {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    return path;
  }
  const load = (specifier: string) => loadServiceModule(specifier, folder);

  test("loadServiceModule() takes a function for the routes", async () => {
    write("function.js", "export default function routes() { return 'ours'; }");
    const module = await load("./function.js");
    assert.deepEqual(Object.keys(module), ["routes"]);
    assert.equal((module.routes as () => unknown)(), "ours");
  });

  test("loadServiceModule() takes an object with routes, and what else a module may say", async () => {
    write(
      "object.js",
      `export default { routes() {}, interceptors: [], maxReceiveBytes: 1, fallback() {}, cors: ["*"], service: "S",
        drainMarginMs: 1, close() {} };`,
    );
    assert.equal((await load("./object.js")).service, "S");
  });

  test("loadServiceModule() takes TypeScript as the runtime does", async () => {
    write(
      "types.ts",
      "interface A { readonly a: string }\nexport default (router: A, _server: unknown): void => void router;",
    );
    assert.equal(typeof (await load("./types.ts")).routes, "function");
  });

  test("loadServiceModule() takes what a CommonJS module exports", async () => {
    write("common.cjs", "module.exports = { routes() {}, service: 'common' };");
    assert.equal((await load("./common.cjs")).service, "common");
  });

  for (const [what, source] of [
    ["sets", "exports.__esModule = true; exports.default = { routes() {}, service: 'inner' };"],
    [
      "defines",
      'Object.defineProperty(exports, "__esModule", { value: true }); exports.default = { routes() {}, service: "inner" };',
    ],
  ] as const) {
    test(`loadServiceModule() takes the default export of a module compiled to CommonJS that ${what} __esModule`, async () => {
      write(`${what}.cjs`, source);
      assert.equal((await load(`./${what}.cjs`)).service, "inner");
    });
  }

  test("loadServiceModule() refuses a module compiled to CommonJS that has no default export", async () => {
    write("compiled.cjs", "exports.__esModule = true; exports.routes = () => {};");
    await assert.rejects(load("./compiled.cjs"), {
      name: "UsageError",
      message: /^\.\/compiled\.cjs has no default export \(beside routes\): write/,
    });
  });

  test("loadServiceModule() warns of a module that has not finished after 10 s, and waits for it all the same", async () => {
    write(
      "slow.js",
      "globalThis.lictorSlow = Promise.withResolvers(); await globalThis.lictorSlow.promise; export default () => {};",
    );
    const clock = createManualClock();
    const logger = createRecordingLogger();
    const listenersBefore = process.listenerCount("beforeExit");
    const loading = loadServiceModule("./slow.js", folder, { logger, clock });
    const gates = globalThis as { lictorSlow?: PromiseWithResolvers<void> };
    await eventually("the module runs", () => gates.lictorSlow !== undefined);
    await clock.advance(9_999);
    assert.deepEqual(logger.lines, []);
    await clock.advance(1);
    assert.deepEqual(
      logger.lines.map(({ level, fields }) => [level, fields]),
      [["warn", { module: "./slow.js" }]],
    );
    gates.lictorSlow?.resolve();
    assert.deepEqual(Object.keys(await loading), ["routes"]);
    assert.equal(clock.pending, 0);
    assert.equal(process.listenerCount("beforeExit"), listenersBefore);
  });

  test("loadServiceModule() finds files by every kind of path, packages by their names, and anything by its URL", async () => {
    const path = write("sub folder/a.js", "export default { routes() {}, service: 'file' };");
    for (const specifier of [
      "sub folder/a.js",
      "./sub folder/a.js",
      "../".concat(dirOf(folder), "/sub folder/a.js"),
      path,
      pathToFileURL(path).href,
    ]) {
      assert.equal((await load(specifier)).service, "file", specifier);
    }
    assert.equal((await load("pkg/service")).service, "package");
  });

  const dirOf = (path: string) => path.slice(path.lastIndexOf("/") + 1);

  for (const [what, source, message] of [
    ["nothing", "", /^\.\/bad\.js has no default export: write `export default \(router\) => router\.service/],
    [
      "functions by name only",
      "export function a() {}\nexport const b = 1;",
      /has no default export \(beside a\): write/,
    ],
    ["a number", "export default 1;", /exports a number by default: write/],
    ["null", "export default null;", /exports null by default: write/],
    ["a list", "export default [];", /exports a list by default: write/],
    [
      "an object without routes",
      "export default { service: 'a' };",
      /an object without the function "routes" by default/,
    ],
    ["routes that are no function", "export default { routes: {} };", /an object without the function "routes"/],
    [
      "a port",
      "export default { routes() {}, port: 1 };",
      /the unknown option "port", which is the command line's: --port \(known: routes, /,
    ],
    [
      "an unknown option",
      "export default { routes() {}, rotues: 1 };",
      /the unknown option "rotues" \(known: routes, /,
    ],
    ["a close that is no function", "export default { routes() {}, close: 1 };", /exports a number as "close"/],
  ] as const) {
    test(`loadServiceModule() refuses a module that exports ${what}`, async () => {
      // A name of its own: modules are loaded once.
      const name = `bad-${what.replaceAll(" ", "-")}.js`;
      write(name, source);
      await assert.rejects(load(`./${name}`), (error: Error) => {
        assert.ok(error instanceof UsageError);
        assert.match(error.message.replace(name, "bad.js"), message);
        return true;
      });
    });
  }

  for (const [specifier, message] of [
    ["./missing.ts", /^there is no file .*missing\.ts$/],
    [
      "missing.ts",
      /^there is no file .*missing\.ts, and no package that .* can require by the name "missing\.ts": give the path of its file$/,
    ],
    [".", /^\. is a folder: name the module in it$/],
    ["only", /no package that .* can require by the name "only": give the path of its file$/],
    ["missing-package", /no package that .* can require by the name "missing-package"/],
  ] as const) {
    test(`loadServiceModule() says that ${specifier} is not there`, async () => {
      await assert.rejects(load(specifier), (error: Error) => {
        assert.ok(error instanceof UsageError);
        assert.match(error.message, message);
        return true;
      });
    });
  }

  for (const [what, source, message] of [
    ["throws", 'throw new Error("no database");', /^Cannot load \.\/x\.js: no database$/],
    ["throws what is no error", 'throw "no\\ndatabase";', /^Cannot load \.\/x\.js: no\\ndatabase$/],
    ["is no JavaScript", "export default {", /^Cannot load \.\/x\.js: /],
    ["imports what is not there", 'import "./not-there.js";', /^Cannot load \.\/x\.js: .*not-there/],
  ] as const) {
    test(`loadServiceModule() tells a module that ${what} from a wrong argument`, async () => {
      const name = `fails-${what.replaceAll(" ", "-")}.js`;
      write(name, source);
      await assert.rejects(load(`./${name}`), (error: Error) => {
        assert.ok(error instanceof ModuleError);
        assert.match(error.message.replace(name, "x.js"), message);
        assert.ok(!error.message.includes("\n"));
        return true;
      });
    });
  }
});
