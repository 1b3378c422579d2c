// grpc.reflection.v1.ServerReflection, and v1alpha beside it: two names for one service, which shows the descriptors of what
// is routed, so that tools need no .proto files. https://github.com/grpc/grpc/blob/master/doc/server-reflection.md

import { type DescFile, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, type ConnectRouter, type ConnectRouterOptions } from "@connectrpc/connect";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionV1alpha } from "../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { createReflectionIndex, type ReflectionIndex, withDependencies } from "./reflection-index.ts";

/** Full names of the services that `routeReflection` adds. */
export const reflectionServices: readonly string[] = [ServerReflection.typeName, ServerReflectionV1alpha.typeName];

/** A request, in the words that both versions share. */
interface ReflectionQuestion {
  readonly host: string;
  readonly messageRequest:
    | {
        readonly case: "fileByFilename" | "fileContainingSymbol" | "allExtensionNumbersOfType" | "listServices";
        readonly value: string;
      }
    | {
        readonly case: "fileContainingExtension";
        readonly value: { readonly containingType: string; readonly extensionNumber: number };
      }
    | { readonly case: undefined; readonly value?: undefined };
}

/** What answers a question, likewise. */
type ReflectionReply =
  | { readonly case: "fileDescriptorResponse"; readonly value: { fileDescriptorProto: Uint8Array[] } }
  | {
      readonly case: "allExtensionNumbersResponse";
      readonly value: { baseTypeName: string; extensionNumber: number[] };
    }
  | { readonly case: "listServicesResponse"; readonly value: { service: { name: string }[] } }
  | { readonly case: "errorResponse"; readonly value: { errorCode: Code; errorMessage: string } };

interface ReflectionAnswer<Q> {
  validHost: string;
  originalRequest: Q;
  messageResponse: ReflectionReply;
}

/**
 * Adds both versions to a router. They tell of every service on it, themselves included and those that are added later: the
 * router is looked at when the first question comes, and nothing is built before.
 */
export function routeReflection(router: ConnectRouter, options: ConnectRouterOptions): void {
  let built: ReflectionIndex | undefined;
  const index = (): ReflectionIndex => {
    built ??= createReflectionIndex(router.handlers.map(({ service }) => service));
    return built;
  };
  router.service(
    ServerReflection,
    { serverReflectionInfo: (questions) => answerInTurn(questions, answersOfOneStream(index)) },
    options,
  );
  router.service(
    ServerReflectionV1alpha,
    { serverReflectionInfo: (questions) => answerInTurn(questions, answersOfOneStream(index)) },
    options,
  );
}

async function* answerInTurn<Q extends ReflectionQuestion>(
  questions: AsyncIterable<Q>,
  answer: (question: ReflectionQuestion["messageRequest"]) => ReflectionReply,
): AsyncGenerator<ReflectionAnswer<Q>> {
  for await (const question of questions) {
    yield {
      validHost: question.host,
      originalRequest: question,
      messageResponse: answer(question.messageRequest),
    };
  }
}

/**
 * Answers to the questions of one stream. A file that is asked for is always sent, those that it imports only where this
 * stream did not send them before: clients keep what they got, and grpc-go does the same.
 */
function answersOfOneStream(
  index: () => ReflectionIndex,
): (question: ReflectionQuestion["messageRequest"]) => ReflectionReply {
  const sent = new Set<DescFile>();
  const files = (asked: DescFile | undefined, what: string): ReflectionReply => {
    if (asked === undefined) return notFound(what);
    const fresh = withDependencies(asked).filter((file) => file === asked || !sent.has(file));
    for (const file of fresh) sent.add(file);
    const fileDescriptorProto = fresh.map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto));
    return { case: "fileDescriptorResponse", value: { fileDescriptorProto } };
  };
  return (question) => {
    const { services, file, fileOfSymbol, fileOfExtension, extensionNumbers } = index();
    switch (question.case) {
      case "fileByFilename":
        return files(file(question.value), `file ${question.value}`);
      case "fileContainingSymbol":
        return files(fileOfSymbol(question.value), `symbol ${question.value}`);
      case "fileContainingExtension": {
        const { containingType, extensionNumber } = question.value;
        return files(
          fileOfExtension(containingType, extensionNumber),
          `extension ${extensionNumber} of ${containingType}`,
        );
      }
      case "allExtensionNumbersOfType": {
        const numbers = extensionNumbers(question.value);
        if (numbers === undefined) return notFound(`type ${question.value}`);
        const value = { baseTypeName: question.value, extensionNumber: [...numbers] };
        return { case: "allExtensionNumbersResponse", value };
      }
      case "listServices":
        return { case: "listServicesResponse", value: { service: services.map((name) => ({ name })) } };
      case undefined:
        return failed(Code.InvalidArgument, "no question, or one that is unknown here");
    }
  };
}

function notFound(what: string): ReflectionReply {
  return failed(Code.NotFound, `unknown ${what}`);
}

/** Connect's codes are gRPC's. */
function failed(errorCode: Code, errorMessage: string): ReflectionReply {
  return { case: "errorResponse", value: { errorCode, errorMessage } };
}
