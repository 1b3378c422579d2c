// What Consul takes and what it refuses in a registration, with its texts. Embedded agent and real 1.8.7.
// https://developer.hashicorp.com/consul/api-docs/agent/service#register-service

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type ContractAgent, contractKinds } from "../support/contract-agent.ts";

const decode = (text: string) => `Request decode failed: ${text}`;

// What is sent, and Consul's whole answer; "" is success.
const registrations: readonly (readonly [what: string, body: unknown, status: number, text: string])[] = [
  ["no name", {}, 400, "Missing service name"],
  ["an empty name", { Name: "" }, 400, "Missing service name"],
  ["null", "null", 400, "Missing service name"],
  ["an empty body", "", 400, decode("EOF")],
  ["white space", "  \n", 400, decode("EOF")],
  ["half an object", '{"Name":"x"', 400, decode("unexpected EOF")],
  ["a word", "nope", 400, decode("invalid character 'o' in literal null (expecting 'u')")],
  [
    "a trailing comma",
    '{"Name":"x",}',
    400,
    decode("invalid character '}' looking for beginning of object key string"),
  ],
  ["no comma", '{"Name":"x" "ID":1}', 400, decode("invalid character '\"' after object key:value pair")],
  ["a bad escape", '{"Name":"a\\q"}', 400, decode("invalid character 'q' in string escape code")],
  ["a leading zero", '{"Name":"x","Port":01}', 400, decode("invalid character '1' after object key:value pair")],
  ["what follows the object", '{"Name":"trailing"} and more', 200, ""],
  ["an unknown field", { Name: "x", Bogus: 1 }, 400, decode('json: unknown field "Bogus"')],
  ["an unknown field in Check", { Name: "x", Check: { Bogus: 1 } }, 400, decode('json: unknown field "Bogus"')],
  [
    "an unknown field in Checks",
    { Name: "x", Checks: [{ TTL: "5s", bogus: 1 }] },
    400,
    decode('json: unknown field "bogus"'),
  ],
  ["a newer field", { Name: "x", Namespace: "n" }, 400, decode('json: unknown field "Namespace"')],
  ["Ports of newer versions", { Name: "x", Ports: [] }, 400, decode('json: unknown field "Ports"')],
  ["ID within Check", { Name: "x", Check: { TTL: "5s", ID: "i" } }, 400, decode('json: unknown field "ID"')],
  ["H2PING of newer versions", { Name: "x", Check: { H2PING: "h:1" } }, 400, decode('json: unknown field "H2PING"')],
  ["names in any case", { name: "anycase", pOrT: 5, check: { ttl: "5s" } }, 200, ""],
  ["nulls", { Name: "nulls", Port: null, Tags: null, Meta: null, Check: null, Weights: null }, 200, ""],
  [
    "a name of another type",
    { Name: 5 },
    400,
    decode("json: cannot unmarshal number into Go struct field .Name of type string"),
  ],
  [
    "a port in quotes",
    { Name: "x", Port: "80" },
    400,
    decode("json: cannot unmarshal string into Go struct field .Port of type int"),
  ],
  [
    "a fraction of a port",
    { Name: "x", Port: 1.5 },
    400,
    decode("json: cannot unmarshal number 1.5 into Go struct field .Port of type int"),
  ],
  [
    "tags that are no list",
    { Name: "x", Tags: "a" },
    400,
    decode("json: cannot unmarshal string into Go struct field .Tags of type []string"),
  ],
  [
    "a tag that is no text",
    { Name: "x", Tags: [1] },
    400,
    decode("json: cannot unmarshal number into Go struct field .Tags of type string"),
  ],
  [
    "meta that is no text",
    { Name: "x", Meta: { a: 1 } },
    400,
    decode("json: cannot unmarshal number into Go struct field .Meta of type string"),
  ],
  [
    "a weight that is no number",
    { Name: "x", Weights: { Passing: "x" } },
    400,
    decode("json: cannot unmarshal string into Go struct field Weights.Weights.Passing of type int"),
  ],
  [
    "a check field of another type",
    { Name: "x", Check: { HTTP: 5 } },
    400,
    decode("json: cannot unmarshal number into Go struct field .Check of type string"),
  ],
  ["TTL 5x", { Name: "x", Check: { TTL: "5x" } }, 400, decode('time: unknown unit "x" in duration "5x"')],
  ["an empty TTL", { Name: "x", Check: { TTL: "" } }, 400, decode('time: invalid duration ""')],
  ["a TTL without unit", { Name: "x", Check: { TTL: "15" } }, 400, decode('time: missing unit in duration "15"')],
  [
    "an unknown field before a bad TTL",
    { Name: "x", Check: { TTL: "5x", Bogus: 1 } },
    400,
    decode('json: unknown field "Bogus"'),
  ],
  [
    "a bad DeregisterCriticalServiceAfter",
    { Name: "x", Check: { TTL: "5s", DeregisterCriticalServiceAfter: "1x" } },
    400,
    decode('time: unknown unit "x" in duration "1x"'),
  ],
  ["a TTL of nanoseconds", { Name: "nanoseconds", Check: { TTL: 15 } }, 200, ""],
  ["a TTL of nothing", { Name: "nothing", Check: { TTL: "0s" } }, 200, ""],
  [
    "a TTL of nothing in Checks",
    { Name: "x", Checks: [{ TTL: "0s" }] },
    400,
    "Invalid check: TTL must be > 0 for TTL checks",
  ],
  ["a negative TTL", { Name: "x", Check: { TTL: "-1s" } }, 400, "Invalid check: TTL must be > 0 for TTL checks"],
  ["a check of no type", { Name: "x", Check: { Name: "z" } }, 400, "Invalid check: TTL must be > 0 for TTL checks"],
  ["an interval alone", { Name: "x", Check: { Interval: "5s" } }, 400, "Invalid check: TTL must be > 0 for TTL checks"],
  [
    "TTL with Interval",
    { Name: "x", Check: { TTL: "5s", Interval: "5s" } },
    400,
    "Invalid check: Interval and TTL cannot both be specified",
  ],
  [
    "HTTP without Interval",
    { Name: "x", Check: { HTTP: "http://x" } },
    400,
    "Invalid check: Interval must be > 0 for Script, HTTP, or TCP checks",
  ],
  [
    "GRPC without Interval",
    { Name: "x", Check: { GRPC: "x:1" } },
    400,
    "Invalid check: Interval must be > 0 for Script, HTTP, or TCP checks",
  ],
  [
    "TCP without Interval",
    { Name: "x", Check: { TCP: "x:1" } },
    400,
    "Invalid check: Interval must be > 0 for Script, HTTP, or TCP checks",
  ],
  [
    "a negative OutputMaxSize",
    { Name: "x", Check: { TTL: "5s", OutputMaxSize: -1 } },
    400,
    "Invalid check: MaxOutputMaxSize must be positive",
  ],
  [
    "a status that is none",
    { Name: "x", Check: { TTL: "5s", Status: "PASSING" } },
    400,
    "Status for checks must 'passing', 'warning', 'critical'",
  ],
  [
    "a script",
    { Name: "x", Check: { Args: ["true"], Interval: "5s" } },
    500,
    "Scripts are disabled on this agent from remote calls; to enable, configure 'enable_script_checks' to true",
  ],
  ["address 0.0.0.0", { Name: "x", Address: "0.0.0.0" }, 400, "Invalid service address"],
  ["address ::", { Name: "x", Address: "::" }, 400, "Invalid service address"],
  ["address [::]", { Name: "x", Address: "[::]" }, 400, "Invalid service address"],
  ["an address that is no host", { Name: "nohost", Address: "not a host!!", Port: -1 }, 200, ""],
  ["a port beyond ports", { Name: "far", Port: 99_999_999 }, 200, ""],
  ["a name with spaces", { Name: "not a dns name!" }, 200, ""],
  [
    "a meta key with a space",
    { Name: "x", Meta: { "a b": "1" } },
    400,
    "Invalid Service Meta: Couldn't load metadata pair ('a b', '1'): Key contains invalid characters",
  ],
  [
    "an empty meta key",
    { Name: "x", Meta: { "": "1" } },
    400,
    "Invalid Service Meta: Couldn't load metadata pair ('', '1'): Key cannot be blank",
  ],
  [
    "a reserved meta key",
    { Name: "x", Meta: { "consul-x": "1" } },
    400,
    "Invalid Service Meta: Couldn't load metadata pair ('consul-x', '1'): Key prefix 'consul-' is reserved for internal use",
  ],
  [
    "a long meta key",
    { Name: "x", Meta: { ["k".repeat(129)]: "v" } },
    400,
    `Invalid Service Meta: Couldn't load metadata pair ('${"k".repeat(129)}', 'v'): Key is too long (limit: 128 characters)`,
  ],
  [
    "a long meta value",
    { Name: "x", Meta: { k: "v".repeat(513) } },
    400,
    `Invalid Service Meta: Couldn't load metadata pair ('k', '${"v".repeat(513)}'): Value is too long (limit: 512 characters)`,
  ],
  [
    "65 meta pairs",
    { Name: "x", Meta: Object.fromEntries(Array.from({ length: 65 }, (_, n) => [`k${n}`, "v"])) },
    400,
    "Invalid Service Meta: Node metadata cannot contain more than 64 key/value pairs",
  ],
  [
    "a passing weight of 0",
    { Name: "x", Weights: { Passing: 0, Warning: 1 } },
    400,
    "Invalid Weights: Passing must be greater than 0",
  ],
  [
    "a negative warning weight",
    { Name: "x", Weights: { Passing: 1, Warning: -1 } },
    400,
    "Invalid Weights: Warning must be greater or equal than 0",
  ],
  [
    "a weight beyond 65535",
    { Name: "x", Weights: { Passing: 65_536, Warning: 1 } },
    400,
    "Invalid Weights: DNS Weight must be between 0 and 65535",
  ],
];

for (const kind of contractKinds) {
  describe(`the ${kind.name}`, { skip: kind.skip }, () => {
    let agent: ContractAgent;
    before(async () => {
      agent = await kind.start();
    });
    after(() => agent?.[Symbol.asyncDispose]());

    for (const [what, body, status, text] of registrations) {
      test(`answers ${status} when a registration has ${what}`, async () => {
        const answer = await agent.put("/v1/agent/service/register", body);
        assert.deepEqual([answer.status, answer.text], [status, text]);
        const contentType = status === 200 ? undefined : "text/plain; charset=utf-8";
        assert.equal(answer.headers["content-type"], contentType);
      });
    }
  });
}
