// The services as @grpc/proto-loader reads them from the .proto files. For grpc-js and nice-grpc.

import { fileURLToPath } from "node:url";
import { loadSync, type PackageDefinition } from "@grpc/proto-loader";

/** Messages as proto-loader makes them: missing fields have their defaults, bytes are Buffers. */
export const definitions: PackageDefinition = loadSync(
  ["HelloService_proto/hello_service.proto", "lictor/bench/v1/bench.proto"],
  {
    includeDirs: ["../../proto", "../proto"].map((folder) => fileURLToPath(new URL(folder, import.meta.url))),
    defaults: true,
  },
);

/** The name of a service. */
export const helloServiceName = "HelloService_proto.HelloService";
export const benchServiceName = "lictor.bench.v1.BenchService";

/** A target of grpc-js that is a static list of addresses. */
export function staticTarget(targets: readonly string[]): string {
  return `ipv4:${targets.join(",")}`;
}

/** Options of a channel that balances by round_robin. */
export const roundRobinOptions: Readonly<Record<string, string>> = {
  "grpc.service_config": JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] }),
};
