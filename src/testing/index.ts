// "lictor/testing": what tests of services and clients need. Re-exports only.
// The embedded Consul agent is for demos and tests, and never stands in silently for a real agent.

export type { Clock } from "../core/clock.ts";
export type { AclPolicy, EmbeddedConsulToken } from "./consul/acl.ts";
export type { ConsulCompat } from "./consul/model.ts";
export {
  type EmbeddedConsul,
  type EmbeddedConsulAnswer,
  type EmbeddedConsulOptions,
  type EmbeddedConsulRequest,
  startEmbeddedConsul,
} from "./embedded-consul.ts";
export { createManualClock, type ManualClock } from "./manual-clock.ts";
