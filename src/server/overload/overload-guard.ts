// What a server has against overload: its queue, and which of its methods go through it. Refuses nothing itself.

import type { DescMethod } from "@bufbuild/protobuf";
import { Health } from "../../../gen/grpc/health/v1/health_pb.ts";
import type { CallGate } from "../../grpc/server/call-gate.ts";
import { reflectionServices } from "../reflection-service.ts";
import { refuseOption } from "../refuse-option.ts";
import { CallQueue, type CallQueueParts, type OverloadStats } from "./call-queue.ts";
import type { ResolvedOverload } from "./overload-options.ts";

/** The ways in to a server. */
export interface OverloadGuard {
  /** The way in for calls of a method; undefined where they are always taken. */
  gateOf(method: DescMethod): CallGate | undefined;
  readonly stats: OverloadStats;
  /** The server has ended: lets go of the timers. */
  stop(): void;
}

/** What it is made with, beside the options. */
export interface OverloadGuardParts
  extends Omit<CallQueueParts, "maxConcurrentCalls" | "maxQueued" | "queueTimeoutMs"> {
  /** Every method that is served. */
  readonly methods: readonly DescMethod[];
}

/** Creates it. Throws TypeError where `exempt` names what is not served. */
export function createOverloadGuard(options: ResolvedOverload, parts: OverloadGuardParts): OverloadGuard {
  const { methods, ...rest } = parts;
  for (const name of options.exempt) {
    if (methods.some((method) => namesOf(method).includes(name))) continue;
    refuseOption("overload.exempt", "must name services, or methods as package.Service/Method, that are served", name);
  }
  const exempt = new Set([...options.exempt, Health.typeName, ...reflectionServices]);
  const queue = new CallQueue({ ...options, ...rest });
  const unary = queue.gate(1, true);
  const streaming = queue.gate(options.streamWeight, false);
  return {
    gateOf(method) {
      if (namesOf(method).some((name) => exempt.has(name))) return undefined;
      return method.methodKind === "unary" ? unary : streaming;
    },
    get stats() {
      return queue.stats;
    },
    stop: () => queue.stop(),
  };
}

function namesOf({ parent, name }: DescMethod): readonly string[] {
  return [parent.typeName, `${parent.typeName}/${name}`];
}
