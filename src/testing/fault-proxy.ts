// A TCP proxy on the loopback that does to connections what networks do: delays, cuts, stalls, loses, resets. Knows nothing of what passes.

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { type Clock, systemClock } from "../core/clock.ts";
import { formatHostPort, type HostPort } from "../core/host-port.ts";
import { type Random, systemRandom } from "../core/random.ts";
import { Link } from "./faults/link.ts";
import { type LinkFaults, noFaults, type ResolvedLinkFaults, resolveLinkFaults } from "./faults/link-faults.ts";

/** Which way bytes go. */
export type FaultDirection = "toServer" | "toClient";

/** Where a fault proxy listens and whom it stands before. */
export interface FaultProxyOptions {
  /**
   * Where connections are passed on to: host and port, or the port alone, on 127.0.0.1. Absent: each is reset until `retarget` says where, for
   * servers that want to know the proxy's port first.
   */
  readonly target?: HostPort | number;
  /** Address to listen on. Default `127.0.0.1`. */
  readonly host?: string;
  /** Port to listen on; 0 takes a free one. Default 0. */
  readonly port?: number;
  /** Decides jitter and resets; a generator with a seed makes a run that can be had again. Default: the system's. */
  readonly random?: Random;
  /** Time of latency and rates. Default: the system's. */
  readonly clock?: Clock;
}

/** What has passed through a fault proxy since it began. */
export interface FaultProxyCounts {
  /** Connections taken. */
  readonly connections: number;
  /** Of those, open now. */
  readonly open: number;
  /** Bytes passed on, each way. */
  readonly toServerBytes: number;
  readonly toClientBytes: number;
  /** Bytes thrown away, both ways. */
  readonly droppedBytes: number;
  /** Connections that the proxy reset: by `reset()`, `resetShare`, after a loss, or because one end was reset or not to be reached. */
  readonly resets: number;
  /** Connections that the proxy ended: by `cut()` and `truncateAfterBytes`. */
  readonly cuts: number;
}

/** A running proxy. Whoever creates it closes it. */
export interface FaultProxy extends AsyncDisposable {
  readonly host: string;
  /** The port listened on, whatever the options said; it stays the same. */
  readonly port: number;
  /** `host:port`, an IPv6 address in brackets. */
  readonly address: string;
  /** A copy of the counters. */
  readonly counts: FaultProxyCounts;
  /**
   * What is wrong from now on, with the connections there are and with those to come: in both directions, or in one. Takes the place of all
   * that was said of the direction before. Throws TypeError or RangeError on what is no fault.
   */
  set(faults: LinkFaults, direction?: FaultDirection): void;
  /** No fault in any direction, and new connections are taken again. Rejects where the port was taken meanwhile. */
  heal(): Promise<void>;
  /** Ends every connection now, as a process that exits does. Returns how many. New ones are taken. */
  cut(): number;
  /** Resets every connection now, by RST. Returns how many. New ones are taken. */
  reset(): number;
  /** Closes the port, so that new connections are refused; those there are stay. Resolves when it is closed. */
  refuse(): Promise<void>;
  /** Where new connections are passed on to; those there are stay. */
  retarget(target: HostPort | number): void;
  /** Closes the port and cuts every connection. Idempotent. */
  close(): Promise<void>;
}

/**
 * Starts a proxy before `target`, without faults. Resolves when it listens; connections are passed on as they come, each to one of its own, and
 * one whose target cannot be reached is reset. Rejects with RangeError on an option outside its range, and with the system's error
 * (`EADDRINUSE`) where the port cannot be had.
 *
 * A packet that a network loses is sent again by the system, so the proxy never loses some bytes of a connection and passes others. It also
 * cannot leave the first packet of a connection without an answer: through a black hole (`dropped`) connections open, and stay silent.
 */
export async function createFaultProxy(options: FaultProxyOptions = {}): Promise<FaultProxy> {
  const { host = "127.0.0.1", clock = systemClock, random = systemRandom } = options;
  let target = options.target === undefined ? undefined : resolveTarget(options.target);
  const wantedPort = options.port ?? 0;
  checkPort("port", wantedPort, 0);
  const counts = {
    connections: 0,
    toServerBytes: 0,
    toClientBytes: 0,
    droppedBytes: 0,
    resets: 0,
    cuts: 0,
  };
  const faults: Record<FaultDirection, ResolvedLinkFaults> = { toServer: noFaults, toClient: noFaults };
  const pairs = new Set<Pair>();
  let isClosed = false;

  const onConnection = (near: Socket) => {
    counts.connections++;
    if (target === undefined) {
      counts.resets++;
      near.on("error", () => {});
      near.resetAndDestroy();
      return;
    }
    // Half-open, so that each side ends when its own peer has.
    const pair: Pair = createPair(near, connect({ ...target, allowHalfOpen: true }), faults, {
      clock,
      random,
      counts,
      onClosed: () => pairs.delete(pair),
    });
    pairs.add(pair);
    pair.start();
  };
  const listen = async (port: number): Promise<Server> => {
    const started = createServer({ allowHalfOpen: true }, onConnection);
    started.listen(port, host);
    // Rejects with what the system says.
    await once(started, "listening");
    return started;
  };
  let server: Server | undefined = await listen(wantedPort);
  const { port } = server.address() as AddressInfo;
  // Opening and closing the port follow each other, whoever asks.
  let turn: Promise<void> = Promise.resolve();
  const inTurn = (step: () => Promise<void>): Promise<void> => {
    const done = turn.then(step);
    turn = done.catch(() => {});
    return done;
  };
  const closePort = async () => {
    // Its callback would wait for the connections too.
    server?.close();
    server = undefined;
  };
  const endAll = (how: "cut" | "reset"): number => {
    const ended = [...pairs];
    for (const pair of ended) pair[how]();
    return ended.length;
  };
  const set = (wanted: LinkFaults, direction?: FaultDirection) => {
    const resolved = resolveLinkFaults(wanted);
    if (direction !== "toClient") faults.toServer = resolved;
    if (direction !== "toServer") faults.toClient = resolved;
    for (const pair of [...pairs]) pair.apply();
  };

  const proxy: FaultProxy = {
    host,
    port,
    address: formatHostPort(host, port),
    get counts() {
      return { ...counts, open: pairs.size };
    },
    set,
    heal() {
      set(noFaults);
      return inTurn(async () => {
        if (isClosed) throw new Error("Cannot heal the fault proxy as it is closed");
        server ??= await listen(port);
      });
    },
    cut: () => endAll("cut"),
    reset: () => endAll("reset"),
    refuse: () => inTurn(closePort),
    retarget(next) {
      target = resolveTarget(next);
    },
    async close() {
      isClosed = true;
      await inTurn(closePort);
      const open = [...pairs];
      endAll("cut");
      // What a peer does not read must not hold it up.
      for (const pair of open) pair.destroy();
      await Promise.all(open.map(({ closed }) => closed));
    },
    [Symbol.asyncDispose]: () => proxy.close(),
  };
  return proxy;
}

/** A client's connection and the one to the target that belongs to it. */
interface Pair {
  /** Resolves when both sockets are closed. */
  readonly closed: Promise<void>;
  start(): void;
  /** Looks at the faults anew. */
  apply(): void;
  cut(): void;
  reset(): void;
  /** Closes both sockets without waiting for anything. After `cut`. */
  destroy(): void;
}

interface PairHost {
  readonly clock: Clock;
  readonly random: Random;
  readonly counts: { toServerBytes: number; toClientBytes: number; droppedBytes: number; resets: number; cuts: number };
  onClosed(): void;
}

function createPair(
  near: Socket,
  far: Socket,
  faults: Readonly<Record<FaultDirection, ResolvedLinkFaults>>,
  { clock, random, counts, onClosed }: PairHost,
): Pair {
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  let openSockets = 2;
  let isEnding = false;
  const end = (how: "cuts" | "resets") => {
    if (isEnding) return;
    isEnding = true;
    counts[how]++;
    for (const link of links) link.stop();
    for (const socket of [near, far]) {
      // One that still connects has nobody to reset.
      if (how === "resets" && !socket.connecting) socket.resetAndDestroy();
      else if (!socket.connecting && socket.writable) socket.end(() => socket.destroy());
      else socket.destroy();
    }
  };
  const host = (passed: "toServerBytes" | "toClientBytes") => ({
    clock,
    random,
    onPassed(bytes: number) {
      counts[passed] += bytes;
    },
    onDropped(bytes: number) {
      counts.droppedBytes += bytes;
    },
    onReset: () => end("resets"),
    onTruncated: () => end("cuts"),
  });
  const toServer = new Link(near, far, faults.toServer, host("toServerBytes"));
  const toClient = new Link(far, near, faults.toClient, host("toClientBytes"));
  const links = [toServer, toClient];
  const watch = (socket: Socket, outgoing: Link) => {
    socket.setNoDelay(true);
    // Its "close" says all.
    socket.on("error", () => {});
    socket.once("close", () => {
      if (--openSockets === 0) {
        for (const link of links) link.stop();
        onClosed();
        resolve();
      } else if (!isEnding && !(toServer.hasEnded && toClient.hasEnded)) {
        outgoing.onSenderGone();
      }
    });
  };
  return {
    closed,
    start() {
      watch(near, toServer);
      watch(far, toClient);
      for (const link of links) link.start();
    },
    apply() {
      if (isEnding) return;
      toServer.apply(faults.toServer);
      toClient.apply(faults.toClient);
      const isLosing = faults.toServer.dropped || faults.toClient.dropped;
      if (!isLosing && (toServer.hasLost || toClient.hasLost)) end("resets");
    },
    cut: () => end("cuts"),
    reset: () => end("resets"),
    destroy() {
      near.destroy();
      far.destroy();
    },
  };
}

function resolveTarget(target: HostPort | number): HostPort {
  const resolved = typeof target === "number" ? { host: "127.0.0.1", port: target } : target;
  if (typeof resolved?.host !== "string" || resolved.host === "") {
    throw new TypeError('Cannot start a fault proxy as "target" must be a port, or a host and a port');
  }
  checkPort("target.port", resolved.port, 1);
  return { host: resolved.host, port: resolved.port };
}

function checkPort(name: string, port: number, min: number): void {
  if (Number.isInteger(port) && port >= min && port <= 65535) return;
  throw new RangeError(`Cannot start a fault proxy as "${name}" must be from ${min} to 65535: received ${port}`);
}
