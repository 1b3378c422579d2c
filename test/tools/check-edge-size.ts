// `npm run size`: bundles what a Worker or a page takes of lictor/edge, and a Worker of lictor/edge/tcp, minified and gzipped, and fails above
// the budget or where a part of the package is in it that has no business there. Writes nothing into the project.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { gzipSync } from "node:zlib";
import { findRuntime, projectFolder } from "./runtimes.ts";

/** One way to use an entry, and its budget in bytes: the first honest build plus 10 %. */
interface Use {
  readonly name: string;
  /** The file of src that is ENTRY in the source. */
  readonly entry: string;
  readonly source: string;
  readonly budgetBytes: number;
  /** What it does without: how paths begin. */
  readonly unwanted: readonly string[];
}

/** What nobody needs who reads Consul plainly. */
const watching = [
  "src/consul/blocking-query.ts",
  "src/consul/kv-api.ts",
  "src/consul/cluster-api.ts",
  "src/resolver/service-watch.ts",
];
/** What belongs to sockets. */
const sockets = ["src/http2/", "src/grpc/", "src/connector/", "src/edge/tcp/"];
const fetchAlone = [
  ...watching,
  ...sockets,
  "src/edge/service-watch-object.ts",
  "node_modules/@connectrpc/connect-node/",
];
const socketsAlone = [
  "src/edge/service-watch-object.ts",
  "src/edge/create-edge-transport.ts",
  "node_modules/@connectrpc/connect-web/",
  "node_modules/@connectrpc/connect-node/",
];

const uses: readonly Use[] = [
  {
    name: "createHelloClient",
    entry: "edge.ts",
    source: `import { createHelloClient } from ENTRY; globalThis.hello = createHelloClient();`,
    budgetBytes: 54_800,
    unwanted: fetchAlone,
  },
  {
    name: "createEdgeTransport, fixed list",
    entry: "edge.ts",
    source: `import { createEdgeTransport } from ENTRY; globalThis.transport = createEdgeTransport({ endpoints: ["https://a.test"] });`,
    budgetBytes: 53_500,
    unwanted: fetchAlone,
  },
  {
    name: "createEdgeTcpTransport",
    entry: "edge-tcp.ts",
    source: `import { createEdgeTcpTransport } from ENTRY; globalThis.transport = createEdgeTcpTransport({ service: "a" });`,
    budgetBytes: 59_400,
    unwanted: [...watching, ...socketsAlone, "src/edge/tcp/session-object/"],
  },
  {
    name: "grpcSessionObject",
    entry: "edge-tcp.ts",
    source: `import { grpcSessionObject } from ENTRY; export const Sessions = grpcSessionObject((env, service) => ({ service }));`,
    budgetBytes: 95_000,
    unwanted: [...socketsAlone, "src/edge/endpoint-discovery.ts"],
  },
  {
    name: "createSessionObjectTransport",
    entry: "edge-tcp.ts",
    source: `import { createSessionObjectTransport } from ENTRY; globalThis.transport = (stub) => createSessionObjectTransport(stub);`,
    budgetBytes: 14_900,
    unwanted: [...watching, ...socketsAlone, "src/http2/", "src/connector/", "src/edge/tcp/worker-socket.ts"],
  },
];

process.exitCode = main();

function main(): number {
  const folder = mkdtempSync(join(tmpdir(), "lictor-size-"));
  try {
    const failures = uses.flatMap((use) => check(use, folder));
    for (const failure of failures) console.error(failure);
    return failures.length === 0 ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Builds one use, prints its sizes, and returns what is wrong with it. */
function check({ name, entry, source, budgetBytes, unwanted }: Use, folder: string): string[] {
  const [input, output, meta] = ["use.ts", "use.js", "meta.json"].map((file) => join(folder, file)) as [
    string,
    string,
    string,
  ];
  writeFileSync(input, source.replace("ENTRY", JSON.stringify(`${projectFolder}src/${entry}`)));
  const options = ["--minify", "--target=browser", `--metafile=${meta}`, `--outfile=${output}`];
  execFileSync(findRuntime("bun").path, ["build", ...options, input], { cwd: projectFolder, stdio: "pipe" });
  const bundle = readFileSync(output);
  const zippedBytes = gzipSync(bundle, { level: 9 }).length;
  const inputs = readInputs(meta);
  const ownBytes = inputs.filter(({ path }) => /^(src|gen)\//.test(path)).reduce((sum, { bytes }) => sum + bytes, 0);
  console.log(
    `${name}: ${zippedBytes} bytes gzipped of at most ${budgetBytes}; ${bundle.length} minified, ${ownBytes} of them our own`,
  );
  const found = inputs.filter(({ path, bytes }) => bytes > 0 && unwanted.some((start) => path.startsWith(start)));
  return [
    ...(zippedBytes > budgetBytes ? [`${name}: ${zippedBytes - budgetBytes} bytes above the budget`] : []),
    ...found.map(({ path, bytes }) => `${name}: holds ${bytes} bytes of ${path}`),
  ];
}

/** The files of a bundle, by their path from the project's folder, and what is left of them. */
function readInputs(metafile: string): { readonly path: string; readonly bytes: number }[] {
  const { outputs } = JSON.parse(readFileSync(metafile, "utf8")) as {
    readonly outputs: Readonly<
      Record<string, { readonly inputs: Readonly<Record<string, { readonly bytesInOutput: number }>> }>
    >;
  };
  return Object.values(outputs).flatMap(({ inputs }) =>
    Object.entries(inputs).map(([path, { bytesInOutput }]) => ({
      // Relative to wherever bun sees fit.
      path: path.replace(/^.*?(?=(?:node_modules|src|gen)\/)/, ""),
      bytes: bytesInOutput,
    })),
  );
}
