// All scenarios, in the order of the table.

import type { Scenario } from "../scenario.ts";
import { allGone } from "./all-gone.ts";
import { resets, stalls } from "./bad-network.ts";
import { badServers } from "./bad-server.ts";
import { coldStart } from "./cold-start.ts";
import { consulCut, consulKilled, consulPaused, consulWiped, leaderKilled, noQuorum } from "./consul-outages.ts";
import { consulRestart } from "./consul-restart.ts";
import { faultSimulation, faultSimulationAsWritten } from "./fault-simulation.ts";
import { hang } from "./hang.ts";
import { rollingRestart } from "./rolling-restart.ts";
import { sigkill } from "./sigkill.ts";
import { soak } from "./soak.ts";

/** Those of a quick run are played side by side, the others one after the other. */
export const scenarios: readonly Scenario[] = [
  faultSimulation,
  faultSimulationAsWritten,
  rollingRestart,
  sigkill,
  hang,
  ...badServers,
  consulRestart,
  consulKilled,
  consulWiped,
  consulPaused,
  leaderKilled,
  noQuorum,
  consulCut,
  allGone,
  coldStart,
  resets,
  stalls,
  soak,
];
