// The chaos suite's client on @grpc/grpc-js: arguments, orders and ledger are those of chaos-client.ts. Set up as its users would for the
// same work: a resolver over Consul's blocking queries, round_robin, wait for ready, and a retry policy for the methods that may run twice.

import process from "node:process";
import {
  type CallOptions,
  type Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientUnaryCall,
  type ClientWritableStream,
  credentials,
  experimental,
  loadPackageDefinition,
  Metadata,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { projectFolder } from "../../tools/runtimes.ts";
import type { ChaosMethod } from "../ledger.ts";
import { type CallToMake, keepLoad, readLoadArguments, streamLength } from "../load.ts";

interface ChaosRequest {
  readonly id: string;
  readonly delayMs: number;
  readonly count?: number;
}
interface ChaosAnswer {
  readonly server: string;
  readonly index: number;
  readonly count: number;
}
type Callback = (error: ServiceError | null, answer: ChaosAnswer) => void;
type Unary = (request: ChaosRequest, metadata: Metadata, options: CallOptions, callback: Callback) => ClientUnaryCall;
interface ChaosStub extends Client {
  plain: Unary;
  idempotent: Unary;
  safe: Unary;
  down(request: ChaosRequest, metadata: Metadata, options: CallOptions): ClientReadableStream<ChaosAnswer>;
  up(metadata: Metadata, options: CallOptions, callback: Callback): ClientWritableStream<ChaosRequest>;
  both(metadata: Metadata, options: CallOptions): ClientDuplexStream<ChaosRequest, ChaosAnswer>;
}
interface ChaosStubConstructor {
  new (address: string, channelCredentials: ReturnType<typeof credentials.createInsecure>, options: object): ChaosStub;
}

const args = readLoadArguments();
const serviceName = "lictor.chaos.v1.ChaosService";
const retryPolicy = {
  maxAttempts: 3,
  initialBackoff: "0.05s",
  maxBackoff: "1s",
  backoffMultiplier: 1.6,
  retryableStatusCodes: ["UNAVAILABLE"],
};
const serviceConfig = {
  loadBalancingConfig: [{ round_robin: {} }],
  methodConfig: [
    {
      name: ["Idempotent", "Safe"].map((method) => ({ service: serviceName, method })),
      retryPolicy,
    },
  ],
};

registerConsulResolver();
const stub = new (stubConstructor())(`consul:${args.service}`, credentials.createInsecure(), {
  "grpc.service_config": JSON.stringify(serviceConfig),
  "grpc.service_config_disable_resolution": 1,
});

await keepLoad(args, async (call) => {
  try {
    const server = await make(call);
    return { outcome: server === undefined ? "wrong" : "ok", fate: "-", server: server ?? "-", text: "" };
  } catch (error) {
    const { code, message } = error as ServiceError;
    // It tells its caller nothing of it, who must take the worst for true.
    return { outcome: (status[code] ?? "unknown").toLowerCase(), fate: "maybe-processed", server: "-", text: message };
  }
});
stub.close();
process.stdout.write("ended\n");
process.exit(0);

function make({ method, id, delayMs, timeoutMs }: CallToMake): Promise<string | undefined> {
  const options = { deadline: Date.now() + timeoutMs };
  // The service config's word for it is read, and not heeded.
  const metadata = new Metadata({ waitForReady: true });
  return new Promise((resolve, reject) => {
    const answered: Callback = (error, answer) => (error === null ? resolve(answer.server) : reject(error));
    const readAll = (stream: ClientReadableStream<ChaosAnswer>) => {
      let received = 0;
      let from: string | undefined;
      stream.on("data", ({ server, index }: ChaosAnswer) => {
        from = index === received++ ? server : undefined;
      });
      stream.on("error", reject);
      stream.on("end", () => resolve(received === streamLength ? from : undefined));
    };
    const writeAll = async (stream: { write(request: ChaosRequest): boolean; end(): void }) => {
      for (let index = 0; index < streamLength; index++) {
        if (index > 0) await new Promise((later) => setTimeout(later, delayMs));
        stream.write({ id, delayMs });
      }
      stream.end();
    };
    const makers: Readonly<Record<ChaosMethod, () => unknown>> = {
      plain: () => stub.plain({ id, delayMs }, metadata, options, answered),
      idempotent: () => stub.idempotent({ id, delayMs }, metadata, options, answered),
      safe: () => stub.safe({ id, delayMs }, metadata, options, answered),
      down: () => readAll(stub.down({ id, delayMs, count: streamLength }, metadata, options)),
      up: () =>
        writeAll(
          stub.up(metadata, options, (error, answer) => {
            if (error === null && answer.count !== streamLength) resolve(undefined);
            else answered(error, answer);
          }),
        ),
      both() {
        const stream = stub.both(metadata, options);
        readAll(stream);
        writeAll(stream);
      },
    };
    makers[method]();
  });
}

function stubConstructor(): ChaosStubConstructor {
  const definition = loadSync("lictor/chaos/v1/chaos.proto", {
    includeDirs: [`${projectFolder}test/proto`],
    defaults: true,
  });
  // What grpc-js makes of a .proto file has no types of its own.
  const loaded = loadPackageDefinition(definition) as unknown as {
    lictor: { chaos: { v1: { ChaosService: ChaosStubConstructor } } };
  };
  return loaded.lictor.chaos.v1.ChaosService;
}

/** `consul:NAME`, by blocking queries; a failed read leaves the last list standing, and is tried again after a second. */
function registerConsulResolver(): void {
  const [agent = ""] = args.consul.split(",");
  class ConsulResolver implements experimental.Resolver {
    readonly #service: string;
    readonly #listener: experimental.ResolverListener;
    #watching: AbortController | undefined;

    constructor(target: experimental.GrpcUri, listener: experimental.ResolverListener) {
      this.#service = target.path;
      this.#listener = listener;
    }

    updateResolution(): void {
      if (this.#watching === undefined) this.#watch(new AbortController());
    }

    destroy(): void {
      this.#watching?.abort();
      this.#watching = undefined;
    }

    static getDefaultAuthority(target: experimental.GrpcUri): string {
      return target.path;
    }

    async #watch(watching: AbortController): Promise<void> {
      this.#watching = watching;
      const { signal } = watching;
      let index = "0";
      while (!signal.aborted) {
        try {
          const url = `${agent}/v1/health/service/${this.#service}?passing&wait=30s&index=${index}`;
          const response = await fetch(url, { signal });
          if (!response.ok) throw new Error(`${response.status}`);
          index = response.headers.get("X-Consul-Index") ?? "0";
          const entries: { Service: { Address: string; Port: number } }[] = await response.json();
          const endpoints = entries.map(({ Service }) => ({
            addresses: [{ host: Service.Address, port: Service.Port }],
          }));
          this.#listener(experimental.statusOrFromValue(endpoints), {}, null, "");
        } catch {
          if (signal.aborted) return;
          index = "0";
          await new Promise((resolve) => setTimeout(resolve, 1000));
        }
      }
    }
  }
  experimental.registerResolver("consul", ConsulResolver);
}
