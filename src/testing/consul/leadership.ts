// Whether the servers have a leader. Without one they answer `stale` reads only, and take no writes; the agent goes on with what is its own.
// https://developer.hashicorp.com/consul/api-docs/features/consistency

import type { Clock } from "../../core/clock.ts";
import { ReplyError } from "./reply.ts";
import type { Topics } from "./topics.ts";

/** The leader, there or not. */
export interface Leadership {
  readonly hasLeader: boolean;
  /** Milliseconds since the leader was last heard of; 0 while there is one. */
  readonly lastContactMs: number;
  /** Ends the reads that wait for the leader. Does nothing where there is none. */
  lose(): void;
  /** Does nothing where there is one. */
  elect(): void;
  /** Throws what Consul answers who needs a leader. */
  demand(): void;
}

/** What all reads wait for beside their data. */
export const leaderTopic = "leader";

/** Creates servers with a leader. */
export function createLeadership(topics: Topics, clock: Clock): Leadership {
  let lostAtMs: number | undefined;
  return {
    get hasLeader() {
      return lostAtMs === undefined;
    },
    get lastContactMs() {
      return lostAtMs === undefined ? 0 : Math.round(clock.now() - lostAtMs);
    },
    lose() {
      if (lostAtMs !== undefined) return;
      lostAtMs = clock.now();
      topics.publish([leaderTopic]);
    },
    elect() {
      lostAtMs = undefined;
    },
    demand() {
      if (lostAtMs !== undefined) throw new ReplyError(500, "No cluster leader");
    },
  };
}
