import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type CommandSpec, helpText, parseCommandLine, UsageError } from "../../src/cli/command-line.ts";
import { type FlagTable, flag } from "../../src/cli/flags.ts";

const flags = {
  name: flag.text({ placeholder: "NAME", default: "HelloService", help: "A name." }),
  file: flag.text({ placeholder: "FILE", env: "SOME_FILE", help: "A file." }),
  port: flag.count({ placeholder: "PORT", min: 0, max: 65_535, default: 10_000, env: "PORT", help: "A port." }),
  calls: flag.count({ placeholder: "CALLS", short: "n", min: 1, max: 100, help: "How many." }),
  ttl: flag.duration({ placeholder: "TIME", default: "20s", minMs: 1, maxMs: 60_000, help: "A time." }),
  every: flag.optionalDuration({ placeholder: "TIME", minMs: 0, help: "Another time." }),
  log: flag.choice({ of: ["info", "silent"], default: "info", env: "LOG_LEVEL", help: "A level." }),
  tag: flag.list({ placeholder: "TAG", help: "Tags." }),
  meta: flag.pairs({ placeholder: "KEY=VALUE", help: "Pairs." }),
  json: flag.toggle({ help: "A switch." }),
} satisfies FlagTable;

const spec: CommandSpec<typeof flags> = {
  name: "lictor try",
  summary: ["Tries flags."],
  argument: { name: "WHO", help: "Whom." },
  flags,
  notes: ["A note."],
};

function parse(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const parsed = parseCommandLine(spec, args, env);
  if (typeof parsed === "string") assert.fail(`not run: ${parsed}`);
  return parsed;
}

describe("parseCommandLine()", () => {
  test("parseCommandLine() repeats of a surplus URL, which may hold a secret, no more than its scheme", () => {
    assert.throws(() => parse(["a", "consul://user:s3cret@h/S?token=s3cret"]), {
      name: "UsageError",
      message: 'unexpected argument "consul://…"',
    });
  });

  test("parseCommandLine() gives every default when nothing is given", () => {
    const { flags, given, argument } = parse([]);
    assert.deepEqual(flags, {
      name: "HelloService",
      file: undefined,
      port: 10_000,
      calls: undefined,
      ttl: 20_000,
      every: undefined,
      log: "info",
      tag: [],
      meta: {},
      json: false,
    });
    assert.equal(given.size, 0);
    assert.equal(argument, undefined);
  });

  test("parseCommandLine() reads every kind in each of its spellings", () => {
    const { flags, argument, given } = parse(
      "--name=a -n5 --port 0 --ttl 1m --every 1.1s --log silent --tag x --tag=y --meta a=b --meta c=d=e --json who".split(
        " ",
      ),
    );
    assert.equal(flags.name, "a");
    assert.equal(flags.calls, 5);
    assert.equal(flags.port, 0);
    assert.equal(flags.ttl, 60_000);
    assert.equal(flags.every, 1100);
    assert.equal(flags.log, "silent");
    assert.deepEqual(flags.tag, ["x", "y"]);
    assert.deepEqual(flags.meta, { a: "b", c: "d=e" });
    assert.equal(flags.json, true);
    assert.equal(argument, "who");
    assert.ok(given.has("ttl") && !given.has("file"));
  });

  test("parseCommandLine() takes the last when a flag comes twice, and values that begin with a dash after an equals sign", () => {
    const { flags } = parse(["--port", "1", "--port=2", "--name=-x"]);
    assert.equal(flags.port, 2);
    assert.equal(flags.name, "-x");
  });

  test("parseCommandLine() reads the environment below the flags, and an empty variable as unset", () => {
    assert.equal(parse([], { PORT: "80" }).flags.port, 80);
    assert.equal(parse(["--port=81"], { PORT: "80" }).flags.port, 81);
    assert.equal(parse(["--port=81"], { PORT: "nonsense" }).flags.port, 81);
    assert.equal(parse([], { PORT: "" }).flags.port, 10_000);
  });

  test("parseCommandLine() takes one of a few words in any case", () => {
    assert.equal(parse([], { LOG_LEVEL: "SILENT" }).flags.log, "silent");
    assert.equal(parse(["--log=Info"]).flags.log, "info");
  });

  test("parseCommandLine() keeps a key such as __proto__ as data", () => {
    const { meta } = parse(["--meta", "__proto__=x"]).flags;
    assert.deepEqual(Object.entries(meta), [["__proto__", "x"]]);
  });

  const refused: [args: string[], message: RegExp, env?: Record<string, string>][] = [
    [["--ttl", "15"], /^--ttl must be a duration with its unit, like 500ms, 20s or 1m30s: received "15"$/],
    [["--ttl", "5x"], /^--ttl must be a duration/],
    [["--ttl="], /^--ttl must be a duration/],
    [["--ttl", "0"], /^--ttl must be at least 1ms: received "0"$/],
    [["--ttl", "61s"], /^--ttl must be at most 60s: received "61s"$/],
    [["--ttl", "1500us"], /^--ttl must be whole milliseconds/],
    [["--port", "65536"], /^--port must be a whole number from 0 to 65535: received "65536"$/],
    [["--port", "80x"], /^--port must be a whole number/],
    [["--port", "1.5"], /^--port must be a whole number/],
    [["--port", "1e3"], /^--port must be a whole number/],
    [["--port=-1"], /^--port must be a whole number/],
    [["-n", "0"], /^--calls must be a whole number from 1 to 100/],
    [["--log", "loud"], /^--log must be one of info, silent: received "loud"$/],
    [["--name="], /^--name must not be empty/],
    [["--tag", ""], /^--tag must not be empty/],
    [["--meta", "a"], /^--meta must be written KEY=VALUE: received "a"$/],
    [["--meta", "=a"], /^--meta must be written KEY=VALUE/],
    [["--meta", "a=1", "--meta", "a=2"], /^--meta must not name a key twice: received "a=2"$/],
    [["--port"], /^--port needs a value: PORT$/],
    [["--port", "--json"], /^--port needs a value: PORT \(write --port=--json if that is it\)$/],
    [["--json=yes"], /^--json takes no value$/],
    [["--bogus"], /^unknown flag "--bogus"$/],
    [["--bogus=1"], /^unknown flag "--bogus"$/],
    [["--constructor"], /^unknown flag "--constructor"$/],
    [["-x"], /^unknown flag "-x"$/],
    [["one", "two"], /^unexpected argument "two"$/],
    [[], /^PORT must be a whole number from 0 to 65535: received "http"$/, { PORT: "http" }],
    [[], /^LOG_LEVEL must be one of info, silent: received "trace"$/, { LOG_LEVEL: "trace" }],
  ];
  for (const [args, message, env = {}] of refused) {
    test(`parseCommandLine() refuses ${JSON.stringify([...args, ...Object.values(env)])} in one line`, () => {
      assert.throws(
        () => parse(args, env),
        (error) => {
          assert.ok(error instanceof UsageError);
          assert.match(error.message, message);
          assert.ok(!error.message.includes("\n"));
          return true;
        },
      );
    });
  }

  test("parseCommandLine() answers --help, -h and --version whatever else is there", () => {
    assert.equal(parseCommandLine(spec, ["-h"], {}), "help");
    assert.equal(parseCommandLine(spec, ["--help", "--port", "x"], { PORT: "x" }), "help");
    assert.equal(parseCommandLine(spec, ["--version"], {}), "version");
  });

  test("parseCommandLine() takes what follows -- as an argument", () => {
    assert.equal(parse(["--", "--json"]).argument, "--json");
  });
});

test("helpText() names every flag with its default and variable, in lines of at most 120 columns", () => {
  const text = helpText(spec);
  for (const name of [...Object.keys(flags), "help", "version"]) assert.ok(text.includes(`--${name}`), name);
  assert.match(text, /^Usage: lictor try \[WHO\] \[flags\]\n/);
  assert.match(text, /-n, --calls CALLS +How many\.\n/);
  assert.match(text, /--port PORT +A port\. \(default 10000; environment PORT\)\n/);
  assert.match(text, /--log info\|silent +A level\. \(default info; environment LOG_LEVEL\)\n/);
  assert.match(text, /--tag TAG +Tags\. \(repeatable\)\n/);
  assert.match(text, /--json +A switch\.\n/);
  assert.ok(text.endsWith("\nA note.\n"));
  for (const line of text.split("\n")) assert.ok(line.length <= 120, line);
});
