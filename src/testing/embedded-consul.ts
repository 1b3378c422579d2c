// A Consul agent inside this process, on a real socket: for demos and tests. It answers as a `consul agent -dev` of version
// 1.8.7 (or 1.22.7) does, over the part of the API that service discovery uses, and refuses what it does not know.
// It is one node, keeps nothing, and never stands in silently for a real agent: only who starts it has it.

import { type Clock, systemClock } from "../core/clock.ts";
import { formatHostPort } from "../core/host-port.ts";
import { type Random, systemRandom } from "../core/random.ts";
import type { EmbeddedConsulToken } from "./consul/acl.ts";
import { type Core, createCore } from "./consul/core.ts";
import { type Listener, listen } from "./consul/listener.ts";
import type { ConsulCompat } from "./consul/model.ts";
import { type Reply, textReply } from "./consul/reply.ts";
import { answer, type RawRequest } from "./consul/router.ts";

/** How the agent runs. */
export interface EmbeddedConsulOptions {
  /** Address to listen on. Default `127.0.0.1`. */
  readonly host?: string;
  /** Port to listen on; 0 takes a free one. Default 0. */
  readonly port?: number;
  /** Which version to answer like, where versions differ. Default `1.8`. */
  readonly compat?: ConsulCompat;
  /** Turns ACLs on: what no token allows is denied. Without it everything is allowed. */
  readonly tokens?: readonly EmbeddedConsulToken[];
  /** Default `dc1`. */
  readonly datacenter?: string;
  /** Default `embedded`. */
  readonly nodeName?: string;
  /** Connections that one client address may hold; those beyond are reset (1.8) or answered 429 (1.22). Default 200, as Consul's. */
  readonly maxConnectionsPerClient?: number;
  /**
   * Told of every request before it is answered. What it returns is answered instead of the agent's own answer: for faults.
   * What it throws is answered 500.
   */
  readonly onRequest?: (request: EmbeddedConsulRequest) => EmbeddedConsulAnswer | undefined;
  /** Time of TTLs, waits, probes and the reaper. Default: the system's. */
  readonly clock?: Clock;
  /** Jitter of waits and probes. Default: the system's. */
  readonly random?: Random;
}

/** A request, as `onRequest` sees it. */
export interface EmbeddedConsulRequest {
  readonly method: string;
  /** Path and query, as sent. */
  readonly path: string;
  /** By lower-case name. Hold the token, if one was sent. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: string;
}

/** An answer in place of the agent's. */
export interface EmbeddedConsulAnswer {
  /** HTTP status. */
  readonly status: number;
  /** Plain text. */
  readonly text: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A running agent. Whoever starts it closes it. */
export interface EmbeddedConsul extends AsyncDisposable {
  /** `http://host:port`; stays the same over a restart. */
  readonly address: string;
  /** As in the options. */
  readonly host: string;
  /** The port listened on, whatever the options said. */
  readonly port: number;
  /** Blocking queries that wait now. 0 while stopped. */
  readonly openQueries: number;
  /** Ends as a real agent does on SIGTERM: open blocking queries answer 200 with their index unchanged, then the port refuses. Forgets everything. Does nothing while stopped. */
  stop(): Promise<void>;
  /** Ends as a real agent does on SIGKILL: connections are reset, then the port refuses. Forgets everything. Does nothing while stopped. */
  kill(): Promise<void>;
  /** Stops if it runs, and starts again, empty, on the same port; the index starts over. Rejects where the port was taken meanwhile, or after `close()`. */
  restart(): Promise<void>;
  /** Forgets a token: open queries that used it answer 200, further requests 403 `ACL not found`. Until a restart. */
  revokeToken(secret: string): void;
  /**
   * From now on the servers have no leader: reads answer 500 `No cluster leader`, those that wait included, and so do writes of keys. `stale`
   * reads go on and say so; what is the agent's own, registrations and heartbeats, goes on too (at once, where a real agent takes 7 s and
   * more). Until `electLeader()` or a restart.
   */
  loseLeader(): void;
  /** Ends what `loseLeader()` began. */
  electLeader(): void;
  /** Stops for good. Idempotent. */
  close(): Promise<void>;
}

/**
 * Starts an agent. Resolves when it listens. Rejects with RangeError or TypeError on an option outside its range, and with the
 * system's error (`EADDRINUSE`) where the port cannot be had.
 */
export async function startEmbeddedConsul(options: EmbeddedConsulOptions = {}): Promise<EmbeddedConsul> {
  const settings = resolveOptions(options);
  let running = await start(settings, settings.port);
  const { port } = running.listener;
  let isStopped = false;
  let isClosed = false;
  // Stops and starts follow each other, whoever asks.
  let lifecycle: Promise<void> = Promise.resolve();
  const inTurn = (step: () => Promise<void>): Promise<void> => {
    const turn = lifecycle.then(step);
    lifecycle = turn.catch(() => {});
    return turn;
  };
  const end = async (how: "drain" | "reset") => {
    if (isStopped) return;
    isStopped = true;
    const { core, listener } = running;
    // The port refuses before the last answers go out, so nobody who got one finds it open.
    const ended = listener[how]();
    core.close();
    await ended;
  };

  const agent: EmbeddedConsul = {
    address: `http://${formatHostPort(settings.host, port)}`,
    host: settings.host,
    port,
    get openQueries() {
      return running.core.waiters.size;
    },
    stop: () => inTurn(() => end("drain")),
    kill: () => inTurn(() => end("reset")),
    restart: () =>
      inTurn(async () => {
        if (isClosed) throw new Error("Cannot restart the embedded Consul agent as it is closed");
        await end("drain");
        running = await start(settings, port);
        isStopped = false;
      }),
    revokeToken(secret) {
      running.core.acl.revoke(secret);
      running.core.waiters.release(secret);
    },
    loseLeader: () => running.core.leadership.lose(),
    electLeader: () => running.core.leadership.elect(),
    close() {
      isClosed = true;
      return agent.stop();
    },
    [Symbol.asyncDispose]: () => agent.close(),
  };
  return agent;
}

type Settings = Required<Omit<EmbeddedConsulOptions, "tokens" | "onRequest">> &
  Readonly<{
    tokens: EmbeddedConsulOptions["tokens"];
    onRequest: EmbeddedConsulOptions["onRequest"];
  }>;

function resolveOptions(options: EmbeddedConsulOptions): Settings {
  const { port = 0, maxConnectionsPerClient = 200 } = options;
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    throw new RangeError(`Cannot start an embedded Consul agent as "port" must be from 0 to 65535: received ${port}`);
  }
  if (!Number.isInteger(maxConnectionsPerClient) || maxConnectionsPerClient < 1) {
    const rule = '"maxConnectionsPerClient" must be an integer of at least 1';
    throw new RangeError(`Cannot start an embedded Consul agent as ${rule}: received ${maxConnectionsPerClient}`);
  }
  const { compat = "1.8", tokens } = options;
  if (compat !== "1.8" && compat !== "1.22") {
    const rule = '"compat" must be 1.8 or 1.22';
    throw new RangeError(`Cannot start an embedded Consul agent as ${rule}: received ${compat}`);
  }
  if (tokens?.some(({ secret }) => secret === "")) {
    throw new TypeError('Cannot start an embedded Consul agent as the "secret" of a token must not be empty');
  }
  return {
    host: options.host ?? "127.0.0.1",
    port,
    compat,
    tokens,
    datacenter: options.datacenter ?? "dc1",
    nodeName: options.nodeName ?? "embedded",
    maxConnectionsPerClient,
    onRequest: options.onRequest,
    clock: options.clock ?? systemClock,
    random: options.random ?? systemRandom,
  };
}

/** One life of the agent. */
async function start(settings: Settings, port: number): Promise<{ core: Core; listener: Listener }> {
  const core = createCore(settings);
  try {
    const listener = await listen({
      host: settings.host,
      port,
      maxConnectionsPerClient: settings.maxConnectionsPerClient,
      refuseBy429: settings.compat !== "1.8",
      answer: async (request) => intercept(settings, request) ?? (await answer(core, request)),
    });
    return { core, listener };
  } catch (error) {
    core.close();
    throw error;
  }
}

function intercept({ onRequest }: Settings, request: RawRequest): Reply | undefined {
  const instead = onRequest?.({
    method: request.method,
    path: request.target,
    headers: request.headers,
    body: new TextDecoder().decode(request.body),
  });
  return instead && textReply(instead.status, instead.text, instead.headers);
}
