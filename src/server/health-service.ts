// grpc.health.v1.Health over the server's health table: Check, List and Watch. Decides no status itself.
// https://github.com/grpc/grpc/blob/master/doc/health-checking.md

import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import type { Health, HealthCheckResponseSchema } from "../../gen/grpc/health/v1/health_pb.ts";
import { HealthCheckResponse_ServingStatus as Status } from "../../gen/grpc/health/v1/health_pb.ts";
import { drainSignal } from "./drain-signal.ts";
import type { HealthStatus } from "./health-status.ts";

/** Most services that List answers with; beyond it fails with `resource_exhausted`, as grpc-go does. */
const maxListed = 100;

type CheckResponse = MessageInitShape<typeof HealthCheckResponseSchema>;

/** Creates the implementation of the standard health service. */
export function createHealthService(health: HealthStatus): ServiceImpl<typeof Health> {
  return {
    check({ service }) {
      const status = health.status(service);
      if (status === undefined) throw new ConnectError(`unknown service "${service}"`, Code.NotFound);
      return { status: Status[status] };
    },
    list() {
      const all = [...health.all()];
      if (all.length > maxListed) {
        throw new ConnectError(`more than ${maxListed} services: ${all.length}`, Code.ResourceExhausted);
      }
      return { statuses: Object.fromEntries(all.map(([service, status]) => [service, { status: Status[status] }])) };
    },
    watch: ({ service }, context) => watch(health, service, context),
  };
}

/** The present status, then each change; a slow reader gets the latest only. Ends by an error, never by itself. */
async function* watch(health: HealthStatus, service: string, context: HandlerContext): AsyncGenerator<CheckResponse> {
  const draining = context.values.get(drainSignal);
  const signals = [context.signal, draining];
  let wake = (): void => {};
  const onWake = (): void => wake();
  const unwatch = health.watch(service, onWake);
  for (const signal of signals) signal.addEventListener("abort", onWake);
  try {
    let sent: Status | undefined;
    while (!signals.some((signal) => signal.aborted)) {
      const known = health.status(service);
      const status = known === undefined ? Status.SERVICE_UNKNOWN : Status[known];
      if (status !== sent) {
        sent = status;
        yield { status };
        continue;
      }
      // Nothing can change between the check above and here: both run in one go.
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  } finally {
    unwatch();
    for (const signal of signals) signal.removeEventListener("abort", onWake);
  }
  context.signal.throwIfAborted();
  // `unavailable`, so that health-checking clients watch again elsewhere (gRFC A17 has them retry on any other end).
  throw draining.reason;
}
