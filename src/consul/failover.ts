// Sends requests to several agents of one cluster: reads stay with one agent while it answers, and go on to the next where it does not.
// Never sends a write twice, never looks at what an answer says, opens nothing by itself.

import type { AgentOptions } from "./client-options.ts";
import { ConsulError, isAgentsFault } from "./consul-error.ts";
import { type ConsulAnswer, type ConsulRequest, createRequester, type SendRequest } from "./request.ts";

/** How long an agent that answered 429 or 5xx is asked last, where it named no time. */
const burdenedMs = 1000;

interface Agent {
  readonly address: string;
  readonly send: SendRequest;
  /** Until when it is asked only if no other answers. */
  burdenedUntilMs: number;
  /** Reads that wait there for a change: each is told to leave when the agent is found silent. */
  readonly waiting: Set<AbortController>;
}

/** The most that a read waits for an agent while there is another to ask. */
const longestShareMs = 2000;

/** What a read that waits at a silent agent is told to leave with. */
const left = new Error("The agent was found silent");

/**
 * Creates what sends requests to several agents.
 *
 * A read goes to the agent that is in use: the first, until it gives no answer, or one with status 429 or 5xx. Then the others are asked at
 * once, each once, and the one that answers stays in use until it fails itself: nobody returns to an agent because it is back. The time
 * limit of a read that does not block covers all of them; none but the last gets more than 2 s of it. One that blocks is repeated elsewhere without its index, as an index says
 * nothing there. Where all fail, the error says so of each.
 *
 * A write is sent once, to the agent in use; one that gets no answer moves the next request on. What is asked under /v1/agent goes to the
 * first agent, whichever is in use: other agents know nothing of it.
 */
export function createFailover(options: readonly [AgentOptions, ...AgentOptions[]]): SendRequest {
  const [{ clock, logger, timeoutMs: commonTimeoutMs }] = options;
  const agentOf = (one: AgentOptions): Agent => ({
    address: one.address,
    send: createRequester(one),
    burdenedUntilMs: 0,
    waiting: new Set(),
  });
  const first = agentOf(options[0]);
  const agents: readonly Agent[] = [first, ...options.slice(1).map(agentOf)];
  let inUse = first;

  /** The agent to ask next: the one in use, then those after it, the burdened ones last. */
  const nextOf = (tried: ReadonlySet<Agent>): Agent | undefined => {
    const at = agents.indexOf(inUse);
    const inTurn = [...agents.slice(at), ...agents.slice(0, at)].filter((agent) => !tried.has(agent));
    const nowMs = clock.now();
    return inTurn.find(({ burdenedUntilMs }) => burdenedUntilMs <= nowMs) ?? inTurn[0];
  };

  const use = (agent: Agent, error: unknown): void => {
    logger.warn("Another Consul agent is asked from now on", { from: inUse.address, consul: agent.address, error });
    const { waiting } = inUse;
    inUse = agent;
    if (isSilence(error)) for (const controller of waiting) controller.abort(left);
  };

  const noteFailure = (agent: Agent, error: ConsulError): void => {
    if (error.code === "http") agent.burdenedUntilMs = clock.now() + (error.retryAfterMs ?? burdenedMs);
  };

  /** A read that waits for a change, and leaves when the agent is found silent by another. */
  const sendWaiting = async (agent: Agent, request: ConsulRequest): Promise<ConsulAnswer> => {
    const controller = new AbortController();
    const given = request.options?.signal;
    const signal = given === undefined ? controller.signal : AbortSignal.any([given, controller.signal]);
    agent.waiting.add(controller);
    try {
      return await agent.send({ ...request, options: { ...request.options, signal } });
    } finally {
      agent.waiting.delete(controller);
    }
  };

  const write = async (request: ConsulRequest): Promise<ConsulAnswer> => {
    const agent = nextOf(new Set()) ?? first;
    try {
      return await agent.send(request);
    } catch (error) {
      if (isAgentsFault(error)) {
        noteFailure(agent, error);
        const other = nextOf(new Set([agent]));
        if (agent === inUse && isSilence(error) && other !== undefined) use(other, error);
      }
      throw error;
    }
  };

  const read = async (request: ConsulRequest): Promise<ConsulAnswer> => {
    const tried = new Set<Agent>();
    const errors = new Map<Agent, ConsulError>();
    let deadlineMs: number | undefined;
    for (let agent = nextOf(tried); agent !== undefined; agent = nextOf(tried)) {
      tried.add(agent);
      const mayWait =
        tried.size === 1 &&
        request.waitsOn !== undefined &&
        (request.waitsOn.indexAgent ?? agent.address) === agent.address;
      try {
        if (mayWait) return await sendWaiting(agent, request);
        const nowMs = clock.now();
        deadlineMs ??= nowMs + limitOf(request, commonTimeoutMs);
        // A fair share of the time that is left, so that a silent agent does not use it up: all of it for the last one.
        const leftMs = deadlineMs - nowMs;
        const others = agents.length - tried.size;
        const shareMs = Math.max(others === 0 ? leftMs : Math.min(leftMs / (others + 1), longestShareMs), 1);
        const answer = await agent.send({
          ...withoutWait(request),
          options: { ...request.options, timeoutMs: shareMs },
        });
        // Unless others have found another one meanwhile.
        const isFailing = errors.has(inUse) || inUse.burdenedUntilMs > clock.now();
        if (agent !== inUse && isFailing) use(agent, errors.get(inUse));
        return answer;
      } catch (error) {
        // Of this read nothing is known but that its agent is of no use.
        if (error === left) continue;
        if (!isAgentsFault(error)) throw error;
        noteFailure(agent, error);
        errors.set(agent, error);
      }
    }
    throw allFailed(request, [...errors.values()]);
  };

  return (request) => {
    if (request.path.startsWith("/v1/agent/")) return first.send(request);
    return request.method === "GET" ? read(request) : write(request);
  };
}

/** Whether nothing came from the agent. */
function isSilence(error: unknown): boolean {
  return error instanceof ConsulError && (error.code === "network" || error.code === "timeout");
}

function limitOf(request: ConsulRequest, commonTimeoutMs: number): number {
  const { timeoutMs } = request.options ?? {};
  // The limit of a read that blocks is made for its wait.
  if (request.waitsOn !== undefined) return commonTimeoutMs;
  if (timeoutMs !== undefined && !(timeoutMs > 0)) {
    throw new RangeError(`Cannot ${request.action} as "timeoutMs" must be > 0: received ${timeoutMs}`);
  }
  return timeoutMs ?? request.defaultTimeoutMs ?? commonTimeoutMs;
}

function withoutWait({ waitsOn, defaultTimeoutMs, ...request }: ConsulRequest): ConsulRequest {
  if (waitsOn === undefined) return request;
  const { index, wait, ...query } = request.query ?? {};
  return { ...request, query };
}

/** One error for all: what an answer said before what a silence leaves open, as more is known of it. */
function allFailed({ action, method }: ConsulRequest, errors: readonly ConsulError[]): ConsulError {
  const main = errors.find(({ code }) => code === "http") ?? errors[0];
  if (main === undefined || errors.length === 1) return main ?? noneLeft(action, method);
  const texts = errors.map(({ message }) => message.replace(`Cannot ${action}: `, ""));
  const waits = errors.flatMap(({ retryAfterMs }) => (retryAfterMs === undefined ? [] : [retryAfterMs]));
  return new ConsulError(`Cannot ${action}: no agent could be asked: ${texts.join("; ")}`, {
    code: main.code,
    method,
    path: main.path,
    address: errors.map(({ address }) => address).join(", "),
    ...(main.status === undefined ? {} : { status: main.status }),
    ...(main.text === undefined ? {} : { text: main.text }),
    // The soonest: one agent is enough.
    ...(waits.length === errors.length ? { retryAfterMs: Math.min(...waits) } : {}),
    cause: new AggregateError(errors, "No agent could be asked"),
  });
}

/** All agents were left as silent by others while this read waited for them. */
function noneLeft(action: string, method: string): ConsulError {
  return new ConsulError(`Cannot ${action}: every agent was found silent`, {
    code: "network",
    method,
    path: "",
    address: "",
  });
}
