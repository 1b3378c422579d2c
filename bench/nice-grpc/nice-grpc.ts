// The part of nice-grpc that its row uses, by a name that the type checker does not follow: the package is in no lockfile of the
// project, only in this folder's, and npm run bench:setup installs it.

import type { ServiceDefinition } from "@grpc/grpc-js";

/** What nice-grpc exports, as far as it is used. */
export interface NiceGrpc {
  createChannel(address: string, credentials: undefined, options: Readonly<Record<string, string>>): object;
  createClientFactory(): ClientFactory;
  createServer(): NiceServer;
  Metadata(entries: Readonly<Record<string, string>>): object;
}

/** A client has a method for each of the service's, under the names of the definition. */
export interface ClientFactory {
  use(middleware: unknown): ClientFactory;
  create(
    service: ServiceDefinition,
    channel: object,
  ): Readonly<Record<string, (request: object, options: object) => Promise<unknown>>>;
}

/** A server of nice-grpc. */
export interface NiceServer {
  add(service: ServiceDefinition, implementation: object): void;
  listen(address: string): Promise<number>;
}

/** Loads the package. Rejects where it is not installed. */
export async function loadNiceGrpc(): Promise<NiceGrpc> {
  const name: string = "nice-grpc";
  return import(name);
}

/** Its middleware that gives calls a deadline, a package of its own. */
export async function loadDeadlineMiddleware(): Promise<unknown> {
  const name: string = "nice-grpc-client-middleware-deadline";
  return (await import(name)).deadlineMiddleware;
}
