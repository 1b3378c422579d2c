import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createFileRegistry, fromJson, type JsonValue } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Health } from "../../gen/grpc/health/v1/health_pb.ts";
import { createReflectionIndex, withDependencies } from "../../src/server/reflection-index.ts";
import { CatalogService } from "../gen/lictor/test/v1/catalog_pb.ts";

const catalog = "lictor/test/v1/catalog.proto";
const shelf = "lictor/test/v1/shelf.proto";
const label = "lictor/test/v1/label.proto";

/** The service of a set of files in JSON. */
function serviceOf(name: string, ...file: JsonValue[]) {
  const service = createFileRegistry(fromJson(FileDescriptorSetSchema, { file })).getService(name);
  assert.ok(service !== undefined);
  return service;
}

describe("createReflectionIndex()", () => {
  const index = createReflectionIndex([Health, CatalogService, Health]);

  test("lists the services by name, each once", () => {
    assert.deepEqual(index.services, ["grpc.health.v1.Health", "lictor.test.v1.CatalogService"]);
  });

  test("finds the services' files and all that they import by their paths", () => {
    for (const path of [catalog, shelf, label, "google/protobuf/timestamp.proto", "grpc/health/v1/health.proto"]) {
      assert.equal(index.file(path)?.proto.name, path);
    }
    for (const path of ["catalog.proto", "lictor/test/v1/catalog", "lictor/test/v1/echo.proto", ""]) {
      assert.equal(index.file(path), undefined, path);
    }
  });

  const symbols: Readonly<Record<string, readonly string[]>> = {
    [catalog]: [
      "lictor.test.v1.CatalogService",
      "lictor.test.v1.CatalogService.Find",
      "lictor.test.v1.FindRequest",
      "lictor.test.v1.FindRequest.title",
      "lictor.test.v1.FindRequest.key",
      "lictor.test.v1.FindResponse.Book",
      "lictor.test.v1.FindResponse.Book.place",
      "lictor.test.v1.FindResponse.Place",
      "lictor.test.v1.FindResponse.PLACE_SHELF",
      "lictor.test.v1.FindResponse.LabelsEntry",
      "lictor.test.v1.FindResponse.LabelsEntry.value",
      "lictor.test.v1.Condition",
      "lictor.test.v1.CONDITION_WORN",
    ],
    [shelf]: ["lictor.test.v1.Shelf", "lictor.test.v1.weight"],
    [label]: ["lictor.test.v1.Label", "lictor.test.v1.Label.text", "lictor.test.v1.Label.language"],
    "google/protobuf/timestamp.proto": ["google.protobuf.Timestamp"],
    "grpc/health/v1/health.proto": ["grpc.health.v1.HealthCheckResponse.SERVING"],
  };
  for (const [path, names] of Object.entries(symbols)) {
    for (const name of names) {
      test(`finds ${name} in ${path}`, () => {
        assert.equal(index.fileOfSymbol(name)?.proto.name, path);
      });
    }
  }

  for (const name of [
    "",
    ".lictor.test.v1.FindRequest",
    "lictor.test.v1",
    "FindRequest",
    "lictor.test.v1.FindRequest.nothing",
    "lictor.test.v1.Place.PLACE_SHELF",
    "lictor.test.v1.EchoService",
    "constructor",
  ]) {
    test(`finds nothing by the name ${JSON.stringify(name)}`, () => {
      assert.equal(index.fileOfSymbol(name), undefined);
    });
  }

  test("finds extensions by message and number, declared inside of messages too", () => {
    assert.equal(index.fileOfExtension("lictor.test.v1.Label", 100)?.proto.name, shelf);
    assert.equal(index.fileOfExtension("lictor.test.v1.Label", 101)?.proto.name, shelf);
    assert.equal(index.fileOfExtension("lictor.test.v1.Label", 102)?.proto.name, label);
    assert.equal(index.fileOfExtension("lictor.test.v1.Label", 103), undefined);
    assert.equal(index.fileOfExtension("lictor.test.v1.Shelf", 100), undefined);
  });

  test("gives the numbers of extensions in order, none for a message without, undefined for no message", () => {
    assert.deepEqual(index.extensionNumbers("lictor.test.v1.Label"), [100, 101, 102]);
    assert.deepEqual(index.extensionNumbers("lictor.test.v1.Shelf"), []);
    assert.equal(index.extensionNumbers("lictor.test.v1.Nothing"), undefined);
  });

  test("finds symbols without a package", () => {
    const service = serviceOf("Bare", {
      name: "bare.proto",
      messageType: [{ name: "M" }],
      enumType: [{ name: "E", value: [{ name: "ZERO", number: 0 }] }],
      service: [{ name: "Bare", method: [{ name: "Do", inputType: ".M", outputType: ".M" }] }],
    });
    const bare = createReflectionIndex([service]);
    for (const name of ["Bare", "Bare.Do", "M", "E", "ZERO"]) {
      assert.equal(bare.fileOfSymbol(name)?.proto.name, "bare.proto", name);
    }
  });
});

describe("withDependencies()", () => {
  test("gives the file, then its imports in order, then theirs, each once", () => {
    const message = (name: string) => [{ name }];
    const service = serviceOf(
      "S",
      { name: "far.proto", messageType: message("Far") },
      { name: "left.proto", dependency: ["far.proto"], messageType: message("Left") },
      { name: "right.proto", dependency: ["far.proto", "left.proto"], messageType: message("Right") },
      {
        name: "root.proto",
        dependency: ["right.proto", "left.proto"],
        service: [{ name: "S", method: [{ name: "Do", inputType: ".Left", outputType: ".Right" }] }],
      },
    );
    assert.deepEqual(
      withDependencies(service.file).map(({ proto }) => proto.name),
      ["root.proto", "right.proto", "left.proto", "far.proto"],
    );
  });
});
