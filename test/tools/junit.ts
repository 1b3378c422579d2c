// Reads the JUnit reports that Bun, Deno and Node write into one list of test cases. Not a general XML parser: it knows the
// four elements that matter, and leaves out what is no test of its own (suites, and tests that only hold subtests).

/** One test as its runner reported it. */
export interface TestCase {
  /** Names of the suites around it and its own, joined by " > ". */
  readonly name: string;
  readonly outcome: "passed" | "failed" | "skipped";
  /** What the runner says of a failure, or the reason of a skip; "" when it says nothing. */
  readonly detail: string;
}

/** Lists the tests of a report, in its order. A todo counts as skipped. */
export function parseJunit(xml: string): TestCase[] {
  const cases: TestCase[] = [];
  const suites: string[] = [];
  let current: { name: string; outcome: TestCase["outcome"]; detail: string } | undefined;
  // Attribute values may hold ">": Node writes it as it is.
  for (const [, closing, tag = "", attributes = "", empty, text = ""] of xml.matchAll(
    /<(\/?)(testsuite|testcase|failure|error|skipped)((?:\s+[\w:-]+="[^"]*")*)\s*(\/?)>([^<]*)/g,
  )) {
    const isEmpty = empty === "/";
    if (tag === "testsuite") {
      if (closing) suites.pop();
      else if (!isEmpty) suites.push(attribute(attributes, "name"));
    } else if (tag === "testcase") {
      if (!closing) {
        // A runner's outermost suite is the file itself.
        const around = suites.filter((suite) => !/\.ts$/.test(suite));
        current = { name: [...around, attribute(attributes, "name")].join(" > "), outcome: "passed", detail: "" };
      }
      if (current !== undefined && (closing || isEmpty)) cases.push(current);
      if (closing || isEmpty) current = undefined;
    } else if (current !== undefined && !closing) {
      current.outcome = tag === "skipped" ? "skipped" : "failed";
      current.detail = unescapeXml(text.trim()) || attribute(attributes, "message");
    }
  }
  return cases.filter((testCase) => !isSuite(testCase, cases));
}

/** Deno lists a suite beside its tests ("suite" and "suite > test"). One that failed by itself, in a hook say, stays. */
function isSuite({ name, outcome }: TestCase, cases: readonly TestCase[]): boolean {
  const inside = cases.filter((other) => other.name.startsWith(`${name} > `));
  return inside.length > 0 && (outcome !== "failed" || inside.some((other) => other.outcome === "failed"));
}

function attribute(attributes: string, name: string): string {
  return unescapeXml(new RegExp(`\\s${name}="([^"]*)"`).exec(attributes)?.[1] ?? "");
}

const entities: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };

function unescapeXml(text: string): string {
  return text.replace(/&(?:#(\d+)|#x([0-9a-f]+)|(\w+));/gi, (whole, decimal, hex, name) => {
    if (decimal !== undefined) return String.fromCodePoint(Number(decimal));
    if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16));
    return entities[name] ?? whole;
  });
}
