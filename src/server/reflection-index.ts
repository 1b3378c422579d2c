// Which file declares what, for reflection: files, symbols and extensions, as far as the served services reach. Reads
// descriptors only; knows neither wire nor streams.

import type { DescFile, DescService } from "@bufbuild/protobuf";
import type { DescriptorProto, EnumDescriptorProto, FieldDescriptorProto } from "@bufbuild/protobuf/wkt";

/** What reflection is asked for. Full names have no leading dot. */
export interface ReflectionIndex {
  /** Full names of the services, sorted. */
  readonly services: readonly string[];
  /** By path, as imports have it: `google/protobuf/any.proto`. */
  file(path: string): DescFile | undefined;
  /** By the full name of anything that a file declares: service, method, message, field, oneof, enum, enum value, extension. */
  fileOfSymbol(name: string): DescFile | undefined;
  fileOfExtension(message: string, extensionNumber: number): DescFile | undefined;
  /** Ascending; undefined where nothing has this name. */
  extensionNumbers(message: string): readonly number[] | undefined;
}

/**
 * Builds the index of the services' files and of all that these import. Extensions that only other files declare are not
 * known: generated code has no registry that would tell of them.
 */
export function createReflectionIndex(services: Iterable<DescService>): ReflectionIndex {
  const names = new Set<string>();
  const files = new Map<string, DescFile>();
  const symbols = new Map<string, DescFile>();
  const extensions = new Map<string, Map<number, DescFile>>();

  const add = (file: DescFile): void => {
    if (files.has(file.proto.name)) return;
    files.set(file.proto.name, file);
    for (const symbol of symbolsOf(file)) symbols.set(symbol, file);
    for (const { extendee, number } of extensionsOf(file.proto)) {
      const message = extendee.replace(/^\./, "");
      const known = extensions.get(message) ?? new Map();
      extensions.set(message, known.set(number, file));
    }
    for (const dependency of file.dependencies) add(dependency);
  };
  for (const service of services) {
    names.add(service.typeName);
    add(service.file);
  }

  return {
    services: [...names].sort(),
    file: (path) => files.get(path),
    fileOfSymbol: (name) => symbols.get(name),
    fileOfExtension: (message, extensionNumber) => extensions.get(message)?.get(extensionNumber),
    extensionNumbers(message) {
      const known = extensions.get(message);
      if (known === undefined) return symbols.has(message) ? [] : undefined;
      return [...known.keys()].sort((a, b) => a - b);
    },
  };
}

/** The file, then what it imports, near before far: the order of grpc-go. Each once. */
export function withDependencies(file: DescFile): readonly DescFile[] {
  const found = new Set([file]);
  // The set grows while it is walked, and the walk sees that.
  for (const { dependencies } of found) for (const dependency of dependencies) found.add(dependency);
  return [...found];
}

// Over the descriptors themselves and not over what protobuf-es makes of them, which leaves out the messages of map entries.
function* symbolsOf({ proto }: DescFile): Generator<string> {
  const scope = proto.package === "" ? "" : `${proto.package}.`;
  for (const service of proto.service) {
    yield scope + service.name;
    for (const method of service.method) yield `${scope}${service.name}.${method.name}`;
  }
  for (const extension of proto.extension) yield scope + extension.name;
  for (const enumeration of proto.enumType) yield* symbolsOfEnum(enumeration, scope);
  for (const message of proto.messageType) yield* symbolsOfMessage(message, scope);
}

function* symbolsOfMessage(message: DescriptorProto, outer: string): Generator<string> {
  const scope = `${outer}${message.name}.`;
  yield outer + message.name;
  for (const { name } of [...message.field, ...message.oneofDecl, ...message.extension]) yield scope + name;
  for (const enumeration of message.enumType) yield* symbolsOfEnum(enumeration, scope);
  for (const nested of message.nestedType) yield* symbolsOfMessage(nested, scope);
}

/** An enum's values are its siblings: https://protobuf.com/docs/language-spec#enum-values */
function* symbolsOfEnum(enumeration: EnumDescriptorProto, scope: string): Generator<string> {
  yield scope + enumeration.name;
  for (const value of enumeration.value) yield scope + value.name;
}

/** Extensions may be declared inside of messages too. */
function* extensionsOf(scope: {
  readonly extension: readonly FieldDescriptorProto[];
  readonly messageType?: readonly DescriptorProto[];
  readonly nestedType?: readonly DescriptorProto[];
}): Generator<FieldDescriptorProto> {
  yield* scope.extension;
  for (const message of scope.messageType ?? scope.nestedType ?? []) yield* extensionsOf(message);
}
