// The agent itself: https://developer.hashicorp.com/consul/api-docs/agent

import { leaderAddress } from "../core.ts";
import { jsonReply, type Reply } from "../reply.ts";
import { done } from "./agent-access.ts";
import type { AgentRequest, Route } from "./route.ts";
import { parseMaintenance } from "./service-routes.ts";

/** The routes about the agent itself. */
export const agentRoutes: readonly Route[] = [
  { path: "agent/self", methods: { GET: self }, isNamespaced: false },
  { path: "agent/maintenance", methods: { PUT: maintain }, isNamespaced: false },
];

function self({ core, secret }: AgentRequest): Reply {
  const { node } = core;
  const authorizer = core.acl.authorize(secret);
  authorizer.demand("read", "agent", node.name, true);
  return jsonReply({
    Config: {
      Datacenter: node.datacenter,
      NodeName: node.name,
      NodeID: node.id,
      // Whoever asks can tell that this is no real agent.
      Revision: "lictor-embedded",
      Server: true,
      Version: node.version,
    },
    DebugConfig: { DevMode: true, ACLsEnabled: authorizer.isEnforced },
    Member: { Name: node.name, Addr: node.address, Status: 1, Tags: { dc: node.datacenter, role: "consul" } },
    Stats: {
      agent: { checks: String(core.local.checks().length), services: String(core.local.services().length) },
      consul: { leader: "true", leader_addr: leaderAddress(node), server: "true" },
    },
    Meta: node.meta,
  });
}

function maintain({ core, query, secret }: AgentRequest): Reply {
  const { isEnabled, reason } = parseMaintenance(query);
  core.acl.authorize(secret).demand("write", "node", core.node.name, true);
  if (isEnabled) core.local.enableMaintenance(undefined, reason);
  else core.local.disableMaintenance(undefined);
  return done(core);
}
