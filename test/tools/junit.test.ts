// parseJunit() over what the three runners really write.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseJunit } from "./junit.ts";

const bun = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="bun test" tests="4" assertions="0" failures="1" skipped="1" time="0.05">
  <testsuite name="test/a.test.ts" file="test/a.test.ts" tests="4" failures="1" skipped="1" hostname="vm">
    <testcase name="passes" classname="" time="0.000752" file="test/a.test.ts" line="3" assertions="0" />
    <testcase name="is skipped" classname="" time="0" file="test/a.test.ts" line="4" assertions="0">
      <skipped />
    </testcase>
    <testsuite name="suite" file="test/a.test.ts" line="9" tests="1" hostname="vm">
      <testcase name="inside" classname="suite" time="0.000062" file="test/a.test.ts" line="9" assertions="0" />
    </testsuite>
    <testcase name="fails" classname="" time="0.001043" file="test/a.test.ts" line="11" assertions="0">
      <failure type="AssertionError" message="one &amp; two">AssertionError: one &amp; two&#10;&#10;1 !== 2</failure>
    </testcase>
  </testsuite>
</testsuites>`;

const deno = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="deno test" tests="5" failures="1" errors="0" time="0.019">
    <testsuite name="./test/a.test.ts" tests="4" disabled="1" errors="0" failures="1">
        <testcase name="passes" classname="./test/a.test.ts" time="0.002" line="3" col="1">
        </testcase>
        <testcase name="is skipped" classname="./test/a.test.ts" time="0.000" line="4" col="1">
            <skipped/>
        </testcase>
        <testcase name="suite" classname="./test/a.test.ts" time="0.003" line="9" col="1">
        </testcase>
        <testcase name="fails" classname="./test/a.test.ts" time="0.002" line="11" col="1">
            <failure message="Uncaught AssertionError: one &amp; two">AssertionError: one &amp; two

1 !== 2</failure>
        </testcase>
    </testsuite>
    <testsuite name="ext:deno_node/testing.ts" tests="1" disabled="0" errors="0" failures="0">
        <testcase name="suite &gt; inside" classname="ext:deno_node/testing.ts" time="0.000" line="1" col="23191">
        </testcase>
    </testsuite>
</testsuites>`;

const node = `<?xml version="1.0" encoding="utf-8"?>
<testsuites>
	<testcase name="passes" time="0.000689" classname="test" file="/a.test.ts"/>
	<testcase name="is skipped" time="0.000207" classname="test" file="/a.test.ts">
		<skipped type="skipped" message="no &lt;consul>"/>
	</testcase>
	<testsuite name="suite" time="0.000678" disabled="0" errors="0" tests="1" failures="0" skipped="0" hostname="vm">
		<testcase name="inside" time="0.000245" classname="suite" file="/a.test.ts"/>
	</testsuite>
	<testcase name="fails" time="0.000741" classname="test" file="/a.test.ts" failure="one &amp; two&#10;&#10;1 !== 2&#10;">
		<failure type="testCodeFailure" message="one &amp; two&#10;&#10;1 !== 2">
AssertionError: one &amp; two

1 !== 2
		</failure>
	</testcase>
	<!-- tests 4 -->
</testsuites>`;

describe("parseJunit()", () => {
  for (const [runner, report] of Object.entries({ bun, deno, node })) {
    test(`parseJunit() lists each test once, and no suite, when ${runner} wrote the report`, () => {
      const outcomes = parseJunit(report).map(({ name, outcome }) => `${name}: ${outcome}`);
      assert.deepEqual(outcomes.sort(), [
        "fails: failed",
        "is skipped: skipped",
        "passes: passed",
        "suite > inside: passed",
      ]);
    });

    test(`parseJunit() gives the text of a failure when ${runner} wrote the report`, () => {
      const failed = parseJunit(report).find(({ outcome }) => outcome === "failed");
      assert.equal(failed?.detail, "AssertionError: one & two\n\n1 !== 2");
    });
  }

  test("parseJunit() keeps the failure of a suite when none of its tests failed", () => {
    const report = `<testsuites><testsuite name="./a.test.ts">
      <testcase name="suite"><failure message="before() threw">Error: before() threw</failure></testcase>
      <testcase name="suite &gt; inside"></testcase>
    </testsuite></testsuites>`;
    const outcomes = parseJunit(report).map(({ name, outcome }) => `${name}: ${outcome}`);
    assert.deepEqual(outcomes, ["suite: failed", "suite > inside: passed"]);
  });

  test("parseJunit() gives the reason of a skip when the runner tells it", () => {
    assert.equal(parseJunit(node).find(({ outcome }) => outcome === "skipped")?.detail, "no <consul>");
  });

  test("parseJunit() gives no test when the report is empty", () => {
    assert.deepEqual(parseJunit(""), []);
    assert.deepEqual(parseJunit("<testsuites></testsuites>"), []);
  });
});
