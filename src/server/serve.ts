// A server's life: listen, register, serve, and leave without failing a call. How bytes are served is the listener's, what
// is served the request handler's.

import { Code, ConnectError } from "@connectrpc/connect";
import { sleep } from "../core/clock.ts";
import { formatHostPort } from "../core/host-port.ts";
import { silentLogger } from "../core/logger.ts";
import { CallTracker, type TrackedCall } from "../grpc/server/call-tracker.ts";
import type { RegisterOptions } from "../registry/register-options.ts";
import { registerService } from "../registry/register-service.ts";
import type { Registration } from "../registry/registration.ts";
import { announcedAddress } from "./announced-address.ts";
import { failWhenCut } from "./fail-when-cut.ts";
import { createHealthStatus, type HealthStatus } from "./health-status.ts";
import { createListener, type Listener } from "./listener.ts";
import { logHandlerErrors } from "./log-handler-errors.ts";
import { createRequestHandler } from "./request-handler.ts";
import { createRpcRoutes } from "./rpc-routes.ts";
import { type ResolvedServeOptions, resolveServeOptions, type ServeOptions } from "./serve-options.ts";
import type { DrainReport, Server, ServerAddress, ServerState } from "./server.ts";
import { leaveConsul, planRegistration, type RegistrationPlan } from "./service-registration.ts";

/** How long connections may take to close once no request is under way; and cut calls, to send their last words. */
const lingerMs = 1000;
const lastWordsMs = 100;

/**
 * Serves gRPC, gRPC-Web and Connect on one port, over HTTP/2 and HTTP/1.1 alike, with the standard health service,
 * `/healthz` and, where it is asked for, reflection. Registers the instance in Consul where `consul` is given.
 * Starts at once and returns before the port is open: await `ready`. Consul may be away: the server serves all the same, and is
 * registered when Consul comes. Throws TypeError or RangeError for bad options, before any I/O. The caller closes the server.
 */
export function serve(options: ServeOptions): Server {
  const server = new RunningServer(resolveServeOptions(options));
  server.start();
  return server;
}

class RunningServer implements Server {
  readonly ready: Promise<ServerAddress>;
  readonly health: HealthStatus = createHealthStatus();
  readonly #ready: PromiseWithResolvers<ServerAddress> = Promise.withResolvers();
  readonly #options: ResolvedServeOptions;
  readonly #calls: CallTracker = new CallTracker();
  readonly #cut = new AbortController();
  readonly #listener: Listener;
  readonly #plan: RegistrationPlan;
  #state: ServerState = { type: "starting" };
  #address: ServerAddress | undefined;
  #registration: Registration | undefined;
  #wasListed = false;
  #draining: Promise<DrainReport> | undefined;

  constructor(options: ResolvedServeOptions) {
    this.ready = this.#ready.promise;
    // Whoever does not wait for it must not crash by it.
    this.ready.catch(() => {});
    this.#options = options;
    const { interceptors, maxReceiveBytes, compressMinBytes, sendCompression, fallback, cors, reflection } = options;
    const { logger, clock, random } = options;
    const rpc = createRpcRoutes({
      routes: (router) => options.routes(router, this),
      interceptors,
      guards: [failWhenCut(this.#cut.signal), ...(logger === silentLogger ? [] : [logHandlerErrors(logger)])],
      maxReceiveBytes,
      compressMinBytes,
      sendCompression,
      shutdownSignal: this.#cut.signal,
      health: this.health,
      reflection,
    });
    this.#plan = planRegistration(options, rpc.services, this.health);
    const { host, port, tls, http2, connections } = options;
    this.#listener = createListener({
      host,
      port,
      tls,
      http2,
      connections,
      handler: createRequestHandler({ rpc, health: this.health, fallback, cors, logger }),
      grpc: rpc.grpc,
      leavesOrigins: cors !== undefined,
      calls: this.#calls,
      clock,
      random,
      logger,
    });
  }

  get state(): ServerState {
    return this.#state;
  }

  get address(): ServerAddress | undefined {
    return this.#address;
  }

  get registration(): Registration | undefined {
    return this.#registration;
  }

  start(): void {
    this.#start().then(this.#ready.resolve, this.#ready.reject);
  }

  drain(): Promise<DrainReport> {
    this.#draining ??= this.#drain();
    return this.#draining;
  }

  close(): Promise<DrainReport> {
    return this.drain();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain();
  }

  async #start(): Promise<ServerAddress> {
    const { clock, logger, tls, advertise } = this.#options;
    try {
      const listening = await this.#listener.listen();
      if (this.#draining !== undefined) throw new Error("Cannot serve as the server was closed before it was ready");
      const announced = announcedAddress(listening, advertise);
      const url = `${tls === undefined ? "http" : "https"}://${formatHostPort(listening.host, listening.port)}`;
      const address: ServerAddress = { ...listening, url, announced };
      if (this.#plan !== undefined) this.#register(this.#plan(announced));
      this.#address = address;
      this.#state = { type: "serving", address, sinceMs: clock.now() };
      logger.info("Serving", { url, announced: formatHostPort(announced.host, announced.port) });
      return address;
    } catch (error) {
      await this.#listener.destroy();
      if (this.#draining === undefined) {
        const report: DrainReport = { finished: 0, cut: 0, tookMs: 0 };
        this.#state = { type: "closed", report, error };
        this.#draining = Promise.resolve(report);
      }
      throw error;
    }
  }

  #register(options: RegisterOptions): void {
    this.#registration = registerService(options);
    this.#registration.registered.then(
      () => {
        this.#wasListed = true;
      },
      () => {},
    );
  }

  async #drain(): Promise<DrainReport> {
    const { clock, logger, drainMarginMs } = this.#options;
    const sinceMs = clock.now();
    const served = this.#state.type === "serving";
    this.#state = { type: "draining", sinceMs };
    if (!served) await this.ready.catch(() => {});
    const atStart = this.#calls.all();
    logger.info("Draining", { underWay: atStart.length });
    this.health.drain();
    this.#listener.announceLeave();
    if (this.#registration !== undefined) {
      // Calls are answered as ever meanwhile: clients that have not heard yet still come.
      const listed = await leaveConsul(this.#registration, () => this.#wasListed, clock);
      if (listed) await sleep(drainMarginMs, clock);
    }
    this.health.end();
    const cut = await this.#finish();
    const finished = atStart.filter((call) => !cut.has(call)).length;
    const report: DrainReport = { finished, cut: cut.size, tookMs: clock.now() - sinceMs };
    this.#state = { type: "closed", report };
    logger[cut.size > 0 ? "warn" : "info"]("Closed", { ...report });
    return report;
  }

  /** Sends the clients away, waits for the calls under way, and cuts those that outlast the grace; resolves to the cut ones. */
  async #finish(): Promise<ReadonlySet<TrackedCall>> {
    const left = this.#listener.leave();
    await this.#within(this.#options.graceMs, Promise.race([left, this.#idle(left)]));
    const cut = new Set(this.#calls.all());
    if (cut.size > 0) {
      const reason = new ConnectError("the server is shutting down", Code.Unavailable);
      this.#cut.abort(reason);
      this.#calls.cut(reason);
      // By now every call has its status, or its handler's own last words: let them out.
      await this.#within(lastWordsMs, left);
    }
    await this.#listener.destroy();
    return cut;
  }

  /** Resolves when no call is under way, and the connections had the time to close by themselves. */
  async #idle(left: Promise<void>): Promise<void> {
    do {
      await this.#calls.idle();
      await this.#within(lingerMs, left);
      // A client may have sent a last one before it heard that we leave.
    } while (this.#calls.size > 0);
  }

  /** Waits for a promise, but no longer than this. */
  #within(limitMs: number, promise: Promise<void>): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#options.clock.schedule(limitMs, resolve);
      void promise.then(() => {
        cancel();
        resolve();
      });
    });
  }
}
