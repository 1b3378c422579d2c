// "lictor/testing": what tests of services and clients need. Re-exports only.
// The embedded Consul agent is for demos and tests, and never stands in silently for a real agent.

export type { Clock } from "../core/clock.ts";
export type { HostPort } from "../core/host-port.ts";
export type { LogFields, Logger } from "../core/logger.ts";
export type { Random } from "../core/random.ts";
export type { AclPolicy, EmbeddedConsulToken } from "./consul/acl.ts";
export type { ConsulCompat } from "./consul/model.ts";
export {
  type EmbeddedConsul,
  type EmbeddedConsulAnswer,
  type EmbeddedConsulOptions,
  type EmbeddedConsulRequest,
  startEmbeddedConsul,
} from "./embedded-consul.ts";
export {
  createFaultProxy,
  type FaultDirection,
  type FaultProxy,
  type FaultProxyCounts,
  type FaultProxyOptions,
} from "./fault-proxy.ts";
export type { LinkFaults } from "./faults/link-faults.ts";
export { createManualClock, type ManualClock } from "./manual-clock.ts";
export {
  createRestartingServers,
  type RestartEvent,
  type RestartingServers,
  type RestartingServersOptions,
  type RunningServer,
} from "./restarting-servers.ts";
