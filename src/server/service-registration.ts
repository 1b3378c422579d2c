// The server's side of its registration in Consul: what is registered, and how the instance is taken out before the server
// leaves. The registration itself is the registry's.

import type { Clock } from "../core/clock.ts";
import type { HostPort } from "../core/host-port.ts";
import { withLictorMeta } from "../core/lictor-meta.ts";
import type { RegisterOptions } from "../registry/register-options.ts";
import type { Registration } from "../registry/registration.ts";
import { resolveRegistration } from "../registry/validate-registration.ts";
import type { HealthStatus } from "./health-status.ts";
import type { ResolvedServeOptions } from "./serve-options.ts";

/** Longest wait, from the start of a drain or of maintenance, for Consul to list the instance no more. */
const goneWithinMs = 5000;

/** How often clients of lictor ask servers of lictor whether they are there. */
const clientPingMs = 10_000;

/** Builds the registration of an announced address; undefined where no `consul` is given. */
export type RegistrationPlan = ((announced: HostPort) => RegisterOptions) | undefined;

/**
 * Plans the registration and checks all of it but the address, so that a mistake shows before the port is open. Throws
 * TypeError or RangeError.
 */
export function planRegistration(
  options: ResolvedServeOptions,
  services: readonly string[],
  health: HealthStatus,
): RegistrationPlan {
  const { consul, service, tls, logger, clock, random, advertise } = options;
  if (consul === undefined) return undefined;
  const name = service.name ?? onlyServiceName(services) ?? noName(services);
  const check = service.check ?? { type: "ttl" };
  const takesPings = options.connections.life.minPingMs <= clientPingMs;
  const plan = (announced: HostPort): RegisterOptions => ({
    // TTL heartbeats say what the health table says.
    ...(check.type === "ttl" && { health: () => heartbeat(health) }),
    ...service,
    ...(takesPings && { meta: withLictorMeta(service.meta ?? {}) }),
    // A probe of a TLS port without TLS never passes.
    check: tls !== undefined && (check.type === "grpc" || check.type === "http") ? { tls: true, ...check } : check,
    consul,
    name,
    ...announced,
    logger,
    clock,
    random,
  });
  resolveRegistration(plan({ host: advertise?.host ?? "127.0.0.1", port: advertise?.port ?? 1 }));
  return plan;
}

/**
 * Takes the instance out of Consul while the server still serves: deregisters and waits until Consul no longer lists it (or
 * has said nothing for too long). Resolves to false where Consul cannot have listed it as working: then nobody has to be
 * waited for. `wasListed` says whether it was registered at some time. Never rejects.
 */
export async function leaveConsul(
  registration: Registration,
  wasListed: () => boolean,
  clock: Clock,
): Promise<boolean> {
  const sinceMs = clock.now();
  const { state } = registration;
  // A first heartbeat that is still unanswered may have made it passing, for others to see.
  const listed = wasListed() || state.type !== "registering" || state.lastError === undefined;
  await registration.close();
  if (!listed) return false;
  // Half a second at least: Consul may have been slow until now, and quick from here.
  await seenGone(registration, false, Math.max(goneWithinMs - (clock.now() - sinceMs), 500), clock);
  return true;
}

/**
 * Puts the instance into Consul's maintenance while the server serves on, and waits until Consul lists it as working no more (or has said
 * nothing for too long). While Consul is away it waits for it. Rejects with ConsulError where Consul refuses, and where the registration is
 * closed first; where the signal aborts it goes no further.
 */
export async function pauseInConsul(
  registration: Registration,
  reason: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  await registration.maintenance(true, reason);
  if (!signal.aborted) await seenGone(registration, true, goneWithinMs, clock, signal);
}

/** Waits until Consul lists the instance no more, but no longer than this. Never rejects. */
async function seenGone(
  registration: Registration,
  orCritical: boolean,
  limitMs: number,
  clock: Clock,
  signal?: AbortSignal,
): Promise<void> {
  const limit = new AbortController();
  const giveUp = (): void => limit.abort();
  const cancel = clock.schedule(limitMs, giveUp);
  signal?.addEventListener("abort", giveUp);
  await registration.gone({ orCritical, signal: limit.signal }).catch(() => {});
  signal?.removeEventListener("abort", giveUp);
  cancel();
}

/** Maintenance is Consul's own to know: a heartbeat that said it too would keep the instance out for a moment after its end. */
function heartbeat(health: HealthStatus): { status: "pass" | "fail"; note?: string } {
  const status = health.reported("") ?? "UNKNOWN";
  return status === "SERVING" ? { status: "pass" } : { status: "fail", note: status };
}

/** The name in Consul of the one service that is routed, without its package; undefined where not exactly one is. */
export function onlyServiceName(services: readonly string[]): string | undefined {
  const [only, ...others] = services;
  return others.length === 0 ? only?.slice(only.lastIndexOf(".") + 1) : undefined;
}

function noName(services: readonly string[]): never {
  throw new TypeError(
    `Cannot serve as "service" must name the service in Consul where not exactly one is routed: received ${services.join(", ") || "none"}`,
  );
}
