// Clients of reflection that others wrote ask our server on every runtime, by v1 and by v1alpha.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SpawnedCommand } from "../support/spawn-command.ts";
import { spawnOn } from "../support/spawn-on.ts";
import { runtimeNames } from "../tools/runtimes.ts";
import { goSkip, pythonSkip, startGo, startPython } from "./programs.ts";

/** What test/interop/go/reflection-client prints. */
interface GoSummary {
  readonly services: Readonly<Record<string, readonly string[]>>;
  readonly extensions: Readonly<Record<string, string>>;
  readonly unknown: string;
}

const reflection = (version: string) =>
  `ServerReflectionInfo(grpc.reflection.${version}.ServerReflectionRequest) grpc.reflection.${version}.ServerReflectionResponse`;
const services = {
  "grpc.health.v1.Health": [
    "Check(grpc.health.v1.HealthCheckRequest) grpc.health.v1.HealthCheckResponse",
    "List(grpc.health.v1.HealthListRequest) grpc.health.v1.HealthListResponse",
    "Watch(grpc.health.v1.HealthCheckRequest) grpc.health.v1.HealthCheckResponse",
  ],
  "grpc.reflection.v1.ServerReflection": [reflection("v1")],
  "grpc.reflection.v1alpha.ServerReflection": [reflection("v1alpha")],
  "lictor.test.v1.CatalogService": ["Find(lictor.test.v1.FindRequest) lictor.test.v1.FindResponse"],
};

/** Runs a program to its end; what it printed. */
async function outputOf(command: SpawnedCommand): Promise<string> {
  await using running = command;
  assert.equal(await running.exitCode, 0, running.stderr);
  return running.stdout;
}

for (const runtime of runtimeNames) {
  describe(`reflection of our server on ${runtime}`, () => {
    for (const version of ["v1", "v1alpha"]) {
      test(`tells protoreflect's Go client everything by ${version}`, { skip: goSkip }, async () => {
        await using server = spawnOn(runtime, "test/support/serve-catalog.ts", []);
        const [address = ""] = await server.ready(1);
        const args = ["-server", address, "-version", version, "-extended", "lictor.test.v1.Label"];
        const summary: GoSummary = JSON.parse(await outputOf(startGo("reflection-client", args)));
        assert.deepEqual(summary.services, services);
        assert.deepEqual(summary.extensions, {
          100: "lictor.test.v1.shelf",
          101: "lictor.test.v1.weight",
          102: "lictor.test.v1.Label.language",
        });
        assert.match(summary.unknown, /not found/i);
      });
    }

    test("lets Python call it without a line of generated code", { skip: pythonSkip }, async () => {
      await using server = spawnOn(runtime, "test/support/serve-catalog.ts", []);
      const [address = ""] = await server.ready(1);
      const args = [address, "lictor.test.v1.CatalogService.Find", '{"number":3}'];
      assert.deepEqual(JSON.parse(await outputOf(startPython("reflection_client.py", args))), {
        services: Object.keys(services),
        file: "lictor/test/v1/catalog.proto",
        answer: {
          book: { title: "number 3", place: "PLACE_SHELF" },
          foundAt: "1970-01-01T00:00:01Z",
          labels: { spine: { text: "red", "[lictor.test.v1.weight]": 7 } },
          shelf: { room: "cellar" },
          condition: "CONDITION_WORN",
        },
      });
    });

    test("lets grpcurl list, describe and call it", { skip: goSkip }, async () => {
      await using server = spawnOn(runtime, "test/support/serve-catalog.ts", []);
      const [address = ""] = await server.ready(1);
      const grpcurl = (...args: string[]) => outputOf(startGo("grpcurl", ["-plaintext", ...args]));
      assert.deepEqual((await grpcurl(address, "list")).trim().split("\n"), Object.keys(services));
      assert.equal(
        (await grpcurl(address, "list", "lictor.test.v1.CatalogService")).trim(),
        "lictor.test.v1.CatalogService.Find",
      );
      const method = await grpcurl(address, "describe", "lictor.test.v1.CatalogService.Find");
      assert.match(
        method,
        /rpc Find \( \.lictor\.test\.v1\.FindRequest \) returns \( \.lictor\.test\.v1\.FindResponse \)/,
      );
      assert.match(method, /idempotency_level = NO_SIDE_EFFECTS/);
      const message = await grpcurl(address, "describe", "lictor.test.v1.FindResponse");
      assert.match(message, /map<string, \.lictor\.test\.v1\.Label> labels = 3;/);
      assert.match(message, /\.google\.protobuf\.Timestamp found_at = 2;/);
      // Imported in public by what the service's file imports.
      const label = await grpcurl(address, "describe", "lictor.test.v1.Label");
      assert.match(label, /extensions 100 to 199;/);
      const answer = JSON.parse(await grpcurl("-d", '{"title":"Go"}', address, "lictor.test.v1.CatalogService/Find"));
      assert.deepEqual(answer.book, { title: "title Go", place: "PLACE_SHELF" });
      assert.deepEqual(answer.labels, { spine: { text: "red", "[lictor.test.v1.weight]": 7 } });
    });
  });
}
