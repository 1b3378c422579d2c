// What a transport knows and does at a moment, as plain data: for people, logs and health pages. Reads what is there; changes nothing.

import type { Clock } from "../../core/clock.ts";
import type { Endpoint } from "../../core/endpoint.ts";
import type { ResolverSnapshot } from "../../resolver/resolver.ts";
import { describeError } from "../describe-error.ts";
import type { OutlierStanding } from "../outlier/outlier-detection.ts";
import type { OutlierFault } from "../outlier/track.ts";
import type { ServiceConfigStatus } from "../service-config/service-config-holder.ts";
import type { HeldEndpoint } from "./endpoint-belief.ts";
import type { Subchannel, SubchannelState } from "./subchannel.ts";

/** One endpoint in use, or that one would use. Times in whole milliseconds. */
export interface EndpointStatus {
  readonly id: string;
  readonly url: string;
  /** The source's word. */
  readonly health: Endpoint["health"];
  /** Of its connection. `failing`: the last attempt failed, or its server says that it does not serve. */
  readonly state: SubchannelState;
  /** How long it has been in that state. */
  readonly stateForMs: number;
  /** Why the last attempt to connect failed, or the last connection ended; absent where it is well. */
  readonly lastError?: string;
  /** For how long the source has not listed it any more; it is in use as its connection works. Absent where it is listed. */
  readonly heldForMs?: number;
  /** What is held against it where it answers badly; `isEjected`: it gets no calls but probes. Absent where nothing is. */
  readonly outlier?: { readonly fault: OutlierFault; readonly forMs: number; readonly isEjected: boolean };
  /** Calls under way there, and those that have ended with ok so far. */
  readonly calls: { readonly active: number; readonly ok: number };
}

/** What is known of who is there. Times in whole milliseconds. */
export interface EndpointListStatus {
  /** `resolver`: the list comes from whoever the transport asks. `store`: an earlier process kept it, and the resolver has not answered yet. */
  readonly source: "resolver" | "store";
  /** Whether it is the last known good list of a source that cannot be reached now, or may lag. */
  readonly isStale: boolean;
  /** How long ago the source confirmed it last. A source that is watched does so about once a minute. */
  readonly ageMs: number;
  /** How many it lists. */
  readonly listed: number;
  /** How many are in use beside them, as their connections work. */
  readonly held: number;
  /** Why a list of nobody may not be the whole truth; absent where nothing is known against it. */
  readonly whyEmpty?: string;
}

/** What a transport knows and does. Plain data, fit for JSON; a copy that does not change. */
export interface TransportStatus {
  /**
   * What a call would meet now. `idle`: nobody has called yet, or not for long. `unresolved`: no list is known. `connecting`: none of the endpoints is
   * connected yet. `ready`: it would go out at once. `failing`: none can be connected to. `empty`: the list is. `closed`.
   */
  readonly state: "idle" | "unresolved" | "connecting" | "ready" | "failing" | "empty" | "closed";
  /** What a call would wait for, in words; absent where it would not wait. */
  readonly waitsFor?: string;
  /** Calls that wait for an endpoint now. */
  readonly pendingCalls: number;
  /** What is asked of whom. */
  readonly resolver: string;
  /** Why the resolver's last attempt failed; absent where it did not. */
  readonly resolverError?: string;
  /** Absent where none was given. */
  readonly serviceConfig?: ServiceConfigStatus;
  /** Absent before the first list. */
  readonly list?: EndpointListStatus;
  /** Sorted by id. */
  readonly endpoints: readonly EndpointStatus[];
  /** Connections' endpoints that are in use no more, and finish their calls. */
  readonly leaving: number;
}

/** What those who place calls know. */
export interface PlacementFacts {
  /** What a call waits for that waits now, in words. */
  describeWait(): string;
  readonly pendingCalls: number;
  readonly serviceConfig: ServiceConfigStatus | undefined;
}

/** What a status is read from. */
export interface StatusFacts {
  readonly clock: Clock;
  readonly state: Exclude<TransportStatus["state"], "idle">;
  readonly isIdle: boolean;
  readonly resolver: string;
  readonly resolverError: unknown;
  readonly snapshot: ResolverSnapshot | undefined;
  readonly subchannels: Iterable<Subchannel>;
  readonly leaving: number;
  readonly held: number;
  readonly holdOf: (endpointId: string) => HeldEndpoint | undefined;
  readonly standingOf: (subchannel: Subchannel) => OutlierStanding | undefined;
}

/** Writes a status. */
export function transportStatus(facts: StatusFacts, placement: PlacementFacts): TransportStatus {
  const { clock, state, isIdle, resolver, resolverError, snapshot, subchannels, leaving } = facts;
  const nowMs = clock.now();
  const endpoints: EndpointStatus[] = [];
  for (const subchannel of subchannels) endpoints.push(endpointStatus(subchannel, facts, nowMs));
  const told = isIdle && state !== "closed" ? "idle" : state;
  const isWaiting = told !== "idle" && told !== "ready" && told !== "closed";
  return {
    state: told,
    ...(isWaiting ? { waitsFor: placement.describeWait() } : {}),
    pendingCalls: placement.pendingCalls,
    resolver,
    ...(resolverError === undefined ? {} : { resolverError: describeError(resolverError) }),
    ...(placement.serviceConfig === undefined ? {} : { serviceConfig: placement.serviceConfig }),
    ...(snapshot === undefined ? {} : { list: listStatus(snapshot, facts.held, nowMs) }),
    endpoints: endpoints.sort((a, b) => (a.id < b.id ? -1 : 1)),
    leaving,
  };
}

function endpointStatus(subchannel: Subchannel, facts: StatusFacts, nowMs: number): EndpointStatus {
  const { endpoint, state, stateSinceMs, lastError } = subchannel;
  const { id, url, health } = endpoint;
  const hold = facts.holdOf(id);
  const standing = facts.standingOf(subchannel);
  const { active, ok } = subchannel.counts;
  return {
    id,
    url,
    health,
    state,
    stateForMs: age(nowMs, stateSinceMs),
    ...(lastError === undefined ? {} : { lastError: describeError(lastError) }),
    ...(hold === undefined ? {} : { heldForMs: age(nowMs, hold.sinceMs) }),
    ...(standing === undefined
      ? {}
      : {
          outlier: {
            fault: standing.fault,
            forMs: age(nowMs, standing.sinceMs),
            isEjected: standing.isEjected,
          },
        }),
    calls: { active, ok },
  };
}

function listStatus(snapshot: ResolverSnapshot, held: number, nowMs: number): EndpointListStatus {
  const { endpoints, stale, confirmedAtMs, source, whyEmpty } = snapshot;
  return {
    source: source ?? "resolver",
    isStale: stale,
    ageMs: age(nowMs, confirmedAtMs),
    listed: endpoints.length,
    held,
    ...(whyEmpty === undefined ? {} : { whyEmpty }),
  };
}

/** Not below 0: a source may have a clock of its own. */
function age(nowMs: number, sinceMs: number): number {
  return Math.max(0, Math.round(nowMs - sinceMs));
}
