import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { create, createFileRegistry, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type FileDescriptorProto, FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import {
  ServerReflection,
  ServerReflectionRequestSchema,
  type ServerReflectionResponse,
  ServerReflectionResponseSchema,
} from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionV1alpha } from "../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { serve } from "../../src/server/serve.ts";
import type { ServeOptions } from "../../src/server/serve-options.ts";
import { CatalogService, file_lictor_test_v1_catalog } from "../gen/lictor/test/v1/catalog_pb.ts";
import { ask } from "../support/ask.ts";
import { catalogService } from "../support/catalog-service.ts";
import { createEchoService } from "../support/echo-service.ts";
import { eventually } from "../support/eventually.ts";
import { grpcFrame } from "../support/http2-call.ts";
import { http2Kinds } from "../support/http2-kinds.ts";
import { rejection } from "../support/rejection.ts";
import { createScriptedConsul } from "../support/scripted-consul.ts";

type AskInit = MessageInitShape<typeof ServerReflectionRequestSchema>;
type Question = NonNullable<Exclude<AskInit, { $typeName: string }>["messageRequest"]>;
type Reply = ServerReflectionResponse["messageResponse"];

const versions = { v1: ServerReflection, v1alpha: ServerReflectionV1alpha };

/** A server with EchoService and CatalogService, and a client of either version of its reflection. */
async function start(options: Partial<ServeOptions> = {}) {
  const server = serve({
    routes(router) {
      createEchoService()(router);
      catalogService(router);
    },
    reflection: true,
    graceMs: 2000,
    ...options,
  });
  const { url } = await server.ready;
  const sessionManager = new Http2SessionManager(url);
  const transport = createGrpcTransport({ baseUrl: url, sessionManager });
  /** One stream that asks these questions, each after the answer to the one before. */
  const ask = async (version: keyof typeof versions, ...questions: readonly Question[]): Promise<readonly Reply[]> => {
    // The two clients differ in the names of their types only.
    const client = createClient(versions[version] as typeof ServerReflection, transport);
    const replies: Reply[] = [];
    let answered = Promise.withResolvers<void>();
    const requests = (async function* (): AsyncGenerator<AskInit> {
      for (const messageRequest of questions) {
        answered = Promise.withResolvers<void>();
        yield { host: "the.host", messageRequest };
        await answered.promise;
      }
    })();
    for await (const response of client.serverReflectionInfo(requests)) {
      assert.equal(response.validHost, "the.host");
      assert.equal(response.originalRequest?.host, "the.host");
      assert.equal(response.originalRequest?.messageRequest.case, questions[replies.length]?.case);
      replies.push(response.messageResponse);
      answered.resolve();
    }
    return replies;
  };
  return {
    server,
    url,
    transport,
    ask,
    async [Symbol.asyncDispose]() {
      sessionManager.abort();
      await server.close();
    },
  };
}

const symbol = (value: string): Question => ({ case: "fileContainingSymbol", value });
const filename = (value: string): Question => ({ case: "fileByFilename", value });
const extension = (containingType: string, extensionNumber: number): Question => ({
  case: "fileContainingExtension",
  value: { containingType, extensionNumber },
});

function filesOf(reply: Reply | undefined): FileDescriptorProto[] {
  assert.equal(reply?.case, "fileDescriptorResponse");
  assert.ok(reply?.case === "fileDescriptorResponse");
  return reply.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
}

const pathsOf = (reply: Reply | undefined): string[] => filesOf(reply).map(({ name }) => name);

function errorOf(reply: Reply | undefined): { code: number; message: string } {
  assert.ok(reply?.case === "errorResponse", `${reply?.case}`);
  return { code: reply.value.errorCode, message: reply.value.errorMessage };
}

const catalogPaths = [
  "lictor/test/v1/catalog.proto",
  "google/protobuf/timestamp.proto",
  "lictor/test/v1/shelf.proto",
  "lictor/test/v1/label.proto",
];

for (const [version, http2] of [
  ["v1", "lictor"],
  ["v1alpha", "node"],
] as const) {
  describe(`grpc.reflection.${version} of serve({ reflection: true, http2: "${http2}" })`, () => {
    let running: Awaited<ReturnType<typeof start>>;
    before(async () => {
      running = await start({ http2 });
    });
    after(() => running?.[Symbol.asyncDispose]());

    test("lists every service, health and reflection included, in order", async () => {
      const [reply] = await running.ask(version, { case: "listServices", value: "" });
      assert.ok(reply?.case === "listServicesResponse");
      assert.deepEqual(
        reply.value.service.map(({ name }) => name),
        [
          "grpc.health.v1.Health",
          "grpc.reflection.v1.ServerReflection",
          "grpc.reflection.v1alpha.ServerReflection",
          "lictor.test.v1.CatalogService",
          "lictor.test.v1.EchoService",
        ],
      );
    });

    test("gives the file of a symbol with all it imports, as the compiler had it", async () => {
      const [reply] = await running.ask(version, symbol("lictor.test.v1.CatalogService"));
      const files = filesOf(reply);
      assert.deepEqual(
        files.map(({ name }) => name),
        catalogPaths,
      );
      const [catalog] = files;
      assert.ok(catalog !== undefined);
      assert.deepEqual(
        toBinary(FileDescriptorProtoSchema, catalog),
        toBinary(FileDescriptorProtoSchema, file_lictor_test_v1_catalog.proto),
      );
      assert.deepEqual(files[2]?.publicDependency, [0]);
    });

    test("gives a client all it needs to call a service that it has no code of", async () => {
      const [reply] = await running.ask(version, symbol("lictor.test.v1.CatalogService.Find"));
      const files = new Map(filesOf(reply).map((file) => [file.name, file]));
      const root = files.get("lictor/test/v1/catalog.proto");
      assert.ok(root !== undefined);
      const service = createFileRegistry(root, (path) => files.get(path)).getService(CatalogService.typeName);
      assert.ok(service !== undefined);
      // Without types: what a generated client says of it is another test's.
      const client = createClient(service as typeof CatalogService, running.transport);
      const { book } = await client.find({ key: { case: "number", value: 3 } });
      assert.deepEqual(book?.title, "number 3");
    });

    test("gives a file by its path", async () => {
      const [own, imported] = await running.ask(
        version,
        filename("grpc/health/v1/health.proto"),
        filename("google/protobuf/timestamp.proto"),
      );
      assert.deepEqual(pathsOf(own), ["grpc/health/v1/health.proto"]);
      assert.deepEqual(pathsOf(imported), ["google/protobuf/timestamp.proto"]);
    });

    test("sends what a file imports once a stream, and what is asked for every time", async () => {
      const [first, again, part, fresh] = await running.ask(
        version,
        symbol("lictor.test.v1.CatalogService"),
        symbol("lictor.test.v1.FindRequest"),
        filename("lictor/test/v1/shelf.proto"),
        symbol("lictor.test.v1.EchoService"),
      );
      assert.deepEqual(pathsOf(first), catalogPaths);
      assert.deepEqual(pathsOf(again), ["lictor/test/v1/catalog.proto"]);
      assert.deepEqual(pathsOf(part), ["lictor/test/v1/shelf.proto"]);
      assert.deepEqual(pathsOf(fresh), ["lictor/test/v1/echo.proto"]);
      const [elsewhere] = await running.ask(version, symbol("lictor.test.v1.FindRequest"));
      assert.deepEqual(pathsOf(elsewhere), catalogPaths);
    });

    test("gives the file of an extension, and the numbers of all", async () => {
      const [file, numbers, none] = await running.ask(
        version,
        extension("lictor.test.v1.Label", 101),
        { case: "allExtensionNumbersOfType", value: "lictor.test.v1.Label" },
        { case: "allExtensionNumbersOfType", value: "lictor.test.v1.Shelf" },
      );
      assert.deepEqual(pathsOf(file), ["lictor/test/v1/shelf.proto", "lictor/test/v1/label.proto"]);
      assert.ok(numbers?.case === "allExtensionNumbersResponse");
      assert.equal(numbers.value.baseTypeName, "lictor.test.v1.Label");
      assert.deepEqual(numbers.value.extensionNumber, [100, 101, 102]);
      assert.ok(none?.case === "allExtensionNumbersResponse");
      assert.deepEqual(none.value.extensionNumber, []);
    });

    test("answers what it cannot find with not_found, and goes on", async () => {
      const replies = await running.ask(
        version,
        symbol("no.Such"),
        filename("no/such.proto"),
        extension("lictor.test.v1.Label", 199),
        { case: "allExtensionNumbersOfType", value: "no.Such" },
        symbol("lictor.test.v1.EchoService"),
      );
      assert.deepEqual(replies.slice(0, 4).map(errorOf), [
        { code: Code.NotFound, message: "unknown symbol no.Such" },
        { code: Code.NotFound, message: "unknown file no/such.proto" },
        { code: Code.NotFound, message: "unknown extension 199 of lictor.test.v1.Label" },
        { code: Code.NotFound, message: "unknown type no.Such" },
      ]);
      assert.deepEqual(pathsOf(replies[4]), ["lictor/test/v1/echo.proto"]);
    });

    test("answers no question with invalid_argument, and goes on", async () => {
      const [empty, next] = await running.ask(version, { case: undefined }, symbol("lictor.test.v1.EchoService"));
      assert.equal(errorOf(empty).code, Code.InvalidArgument);
      assert.deepEqual(pathsOf(next), ["lictor/test/v1/echo.proto"]);
    });

    test("ends its stream with the client's", async () => {
      assert.deepEqual(await running.ask(version), []);
    });
  });
}

for (const http2 of http2Kinds) {
  describe(`serve({ reflection, http2: "${http2}" })`, () => {
    test(`is off unless it is asked for, http2: "${http2}"`, async () => {
      await using running = await start({ http2, reflection: false });
      const error = await rejection(running.ask("v1", { case: "listServices", value: "" }));
      assert.equal(error.code, Code.Unimplemented);
    });

    test(`speaks gRPC-Web too, http2: "${http2}"`, async () => {
      await using running = await start({ http2 });
      const question = create(ServerReflectionRequestSchema, { messageRequest: symbol("lictor.test.v1.EchoService") });
      const answer = await ask(running.url, "HTTP/2", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", {
        method: "POST",
        headers: { "content-type": "application/grpc-web+proto", "x-grpc-web": "1" },
        body: grpcFrame(toBinary(ServerReflectionRequestSchema, question)),
      });
      assert.match(answer.text, /grpc-status: 0/);
      const message = answer.body.subarray(5, 5 + answer.body.readUInt32BE(1));
      const { messageResponse } = fromBinary(ServerReflectionResponseSchema, message);
      assert.deepEqual(pathsOf(messageResponse), ["lictor/test/v1/echo.proto"]);
    });

    test(`stands behind the interceptors, http2: "${http2}"`, async () => {
      await using running = await start({
        http2,
        interceptors: [
          () => async () => {
            throw new ConnectError("who are you", Code.Unauthenticated);
          },
        ],
      });
      const error = await rejection(running.ask("v1", { case: "listServices", value: "" }));
      assert.equal(error.code, Code.Unauthenticated);
    });

    test("does not count as a service: neither for health nor for the name in Consul", async () => {
      const consul = createScriptedConsul();
      await using server = serve({
        routes: createEchoService(),
        reflection: true,
        consul: consul.client,
        drainMarginMs: 0,
      });
      await server.ready;
      await server.registration?.registered;
      assert.deepEqual(
        [...consul.services.values()].map(({ Name }) => Name),
        ["EchoService"],
      );
      assert.equal(server.health.status("grpc.reflection.v1.ServerReflection"), undefined);
      assert.equal(server.health.status("lictor.test.v1.EchoService"), "SERVING");
    });

    test("refuses routes of a reflection service of one's own, which is free to be served where it is off", async () => {
      const routes: ServeOptions["routes"] = (router) => {
        router.service(ServerReflectionV1alpha, {});
      };
      assert.throws(
        () => serve({ routes, reflection: true }),
        (error: unknown) =>
          error instanceof TypeError && /grpc\.reflection\.v1alpha\.ServerReflection/.test(error.message),
      );
      await using server = serve({ routes });
      await server.ready;
    });

    test("refuses what is no boolean", () => {
      assert.throws(
        () => serve({ routes: createEchoService(), reflection: "on" as never }),
        /"reflection" must be a boolean/,
      );
    });

    test(`ends open streams when the server drains, and holds nothing up, http2: "${http2}"`, async () => {
      await using running = await start({ http2 });
      const client = createClient(ServerReflection, running.transport);
      const stop = Promise.withResolvers<void>();
      let answers = 0;
      const requests = (async function* () {
        yield { messageRequest: { case: "listServices", value: "" } as const };
        await stop.promise;
      })();
      const stream = rejection(
        (async () => {
          for await (const _ of client.serverReflectionInfo(requests)) answers++;
        })(),
      );
      await eventually("an answer", () => answers === 1);
      const report = running.server.drain();
      assert.equal((await stream).code, Code.Unavailable);
      stop.resolve();
      const { cut, tookMs } = await report;
      assert.equal(cut, 0);
      assert.ok(tookMs < 1900, `${tookMs} ms`);
    });
  });
}
