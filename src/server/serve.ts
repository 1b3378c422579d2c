// A server's life: listen, register, serve, and leave without failing a call. How bytes are served is the listener's, what
// is served the request handler's.

import type { ConnectError } from "@connectrpc/connect";
import { sleep } from "../core/clock.ts";
import { formatHostPort } from "../core/host-port.ts";
import { silentLogger } from "../core/logger.ts";
import { settledWithin } from "../core/until-settled.ts";
import { CallTracker, type TrackedCall } from "../grpc/server/call-tracker.ts";
import type { RegisterOptions } from "../registry/register-options.ts";
import { registerService } from "../registry/register-service.ts";
import type { Registration } from "../registry/registration.ts";
import { announcedAddress } from "./announced-address.ts";
import { type AuthorizeGate, createAuthorizeGate } from "./authorize.ts";
import { lastWordsMs, leavingError } from "./drain-signal.ts";
import { failWhenCut } from "./fail-when-cut.ts";
import { createHealthStatus, type HealthStatus } from "./health-status.ts";
import { createListener, type Listener } from "./listener.ts";
import { logHandlerErrors } from "./log-handler-errors.ts";
import { Maintenance } from "./maintenance.ts";
import { createEarlyRefusal } from "./overload/early-refusal.ts";
import { createOverloadGuard, type OverloadGuard } from "./overload/overload-guard.ts";
import { createRequestGate } from "./overload/request-gate.ts";
import { createRequestHandler } from "./request-handler.ts";
import { createRpcRoutes } from "./rpc-routes.ts";
import { type ResolvedServeOptions, resolveServeOptions, type ServeOptions } from "./serve-options.ts";
import type { DrainReport, Server, ServerAddress, ServerState, ServerStats } from "./server.ts";
import { leaveConsul, planRegistration, type RegistrationPlan } from "./service-registration.ts";

const noMaintenance = "Cannot finish maintenance as";

/** How long connections may take to close once no request is under way. */
const lingerMs = 1000;

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
  /** Why calls were cut: their handlers' signals have it as their reason. */
  readonly #whyCut: WeakSet<object> = new WeakSet();
  readonly #listener: Listener;
  readonly #plan: RegistrationPlan;
  readonly #overload: OverloadGuard | undefined;
  #state: ServerState = { type: "starting" };
  #address: ServerAddress | undefined;
  #registration: Registration | undefined;
  #wasListed = false;
  #draining: Promise<DrainReport> | undefined;
  #maintenance: Maintenance | undefined;

  constructor(options: ResolvedServeOptions) {
    this.ready = this.#ready.promise;
    // Whoever does not wait for it must not crash by it.
    this.ready.catch(() => {});
    this.#options = options;
    const { interceptors, maxReceiveBytes, compressMinBytes, sendCompression, fallback, cors, reflection } = options;
    const { logger, clock, random, overload } = options;
    const rpc = createRpcRoutes({
      routes: (router) => options.routes(router, this),
      interceptors,
      guards: [
        failWhenCut(({ signal }) => signal, this.#isCut),
        ...(logger === silentLogger ? [] : [logHandlerErrors(logger)]),
      ],
      authorize: authorizeGateOf(options),
      requestGate: overload && createRequestGate((method) => this.#overload?.gateOf(method)),
      maxReceiveBytes,
      compressMinBytes,
      sendCompression,
      shutdownSignal: this.#cut.signal,
      health: this.health,
      reflection,
    });
    this.#plan = planRegistration(options, rpc.services, this.health);
    const methods = [...rpc.handlers.values()].map(({ method }) => method);
    const yieldToLoop = setImmediate;
    const guard = overload && createOverloadGuard(overload, { methods, clock, random, logger, yieldToLoop });
    this.#overload = guard;
    const { host, port, tls, http2, connections } = options;
    this.#listener = createListener({
      host,
      port,
      tls,
      http2,
      connections,
      handler: createRequestHandler({ rpc, health: this.health, fallback, cors, logger }),
      grpc: rpc.grpc,
      gateOf: guard?.gateOf,
      refuse: guard && createEarlyRefusal(rpc.handlers, guard.gateOf),
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

  stats(): ServerStats {
    return { underWay: this.#calls.size, overload: this.#overload?.stats };
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

  maintenance(reason = ""): Promise<DrainReport> {
    const drained = this.#maintain(reason);
    drained.catch(() => {});
    return drained;
  }

  async #maintain(reason: string): Promise<DrainReport> {
    await this.ready;
    const { clock, logger } = this.#options;
    const address = this.#address;
    if (this.#maintenance !== undefined && this.#draining === undefined) return this.#maintenance.drained;
    if (this.#draining !== undefined || address === undefined)
      throw new Error(`${noMaintenance} the server is leaving`);
    const maintenance = new Maintenance({
      reason,
      underWay: this.#calls.all(),
      health: this.health,
      listener: this.#listener,
      registration: this.#registration,
      clock,
      options: this.#options,
      whyCut: () => this.#newCut(),
    });
    this.#maintenance = maintenance;
    this.#state = { type: "maintenance", address, reason, sinceMs: clock.now() };
    logger.info("Maintenance begins", { reason, underWay: this.#calls.size });
    try {
      const report = await maintenance.drained;
      logger[report.cut > 0 ? "warn" : "info"]("Drained for maintenance", { reason, ...report });
      return report;
    } catch (error) {
      // Consul will not have it: then the clients stay.
      if (this.#maintenance === maintenance) this.#endMaintenance(error);
      throw error;
    }
  }

  async resume(): Promise<void> {
    if (this.#draining !== undefined) throw new Error("Cannot resume as the server is leaving");
    if (this.#maintenance === undefined) return;
    this.#endMaintenance(new Error(`${noMaintenance} resume() was called`));
    await this.#registration?.maintenance(false);
    this.#options.logger.info("Maintenance is over");
  }

  #endMaintenance(why: unknown): void {
    this.#maintenance?.end(why);
    this.#maintenance = undefined;
    this.health.resume();
    const { clock } = this.#options;
    if (this.#address !== undefined && this.#draining === undefined) {
      this.#state = { type: "serving", address: this.#address, sinceMs: clock.now() };
    }
  }

  readonly #isCut = (reason: unknown): boolean =>
    typeof reason === "object" && reason !== null && this.#whyCut.has(reason);

  #newCut(): ConnectError {
    const why = leavingError();
    this.#whyCut.add(why);
    return why;
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
    const started = this.#state.type !== "starting";
    this.#state = { type: "draining", sinceMs };
    if (!started) await this.ready.catch(() => {});
    const atStart = this.#calls.all();
    logger.info("Draining", { underWay: atStart.length });
    this.health.drain();
    this.#listener.announceLeave();
    // Who was out of rotation already has nobody to wait for.
    const wasOut = this.#maintenance?.isOut === true;
    this.#maintenance?.end(new Error(`${noMaintenance} the server is leaving`));
    if (this.#registration !== undefined) {
      // Calls are answered as ever meanwhile: clients that have not heard yet still come.
      const listed = await leaveConsul(this.#registration, () => this.#wasListed, clock);
      if (listed && !wasOut) await sleep(drainMarginMs, clock);
    }
    const cut = await this.#finish();
    const finished = atStart.filter((call) => !cut.has(call)).length;
    const report: DrainReport = { finished, cut: cut.size, tookMs: clock.now() - sinceMs };
    this.#overload?.stop();
    this.#state = { type: "closed", report };
    logger[cut.size > 0 ? "warn" : "info"]("Closed", { ...report });
    return report;
  }

  /** Sends the clients away, waits for the calls under way, and cuts those that outlast the grace; resolves to the cut ones. */
  async #finish(): Promise<ReadonlySet<TrackedCall>> {
    const left = this.#listener.leave();
    const { clock, graceMs } = this.#options;
    await settledWithin(Promise.race([left, this.#idle(left)]), graceMs, clock);
    const cut = new Set(this.#calls.all());
    if (cut.size > 0) {
      const reason = this.#newCut();
      this.#cut.abort(reason);
      this.#calls.cut(reason);
      // By now every call has its status, or its handler's own last words: let them out.
      await settledWithin(left, lastWordsMs, clock);
    }
    await this.#listener.destroy();
    return cut;
  }

  /** Resolves when no call is under way, and the connections had the time to close by themselves. */
  async #idle(left: Promise<void>): Promise<void> {
    do {
      await this.#calls.idle();
      await settledWithin(left, lingerMs, this.#options.clock);
      // A client may have sent a last one before it heard that we leave.
    } while (this.#calls.size > 0);
  }
}

function authorizeGateOf({ authorize, tls, logger }: ResolvedServeOptions): AuthorizeGate | undefined {
  if (authorize === undefined) return undefined;
  const asksForCertificates = tls?.requireClientCert === true || tls?.requestClientCert === true;
  return createAuthorizeGate({ authorize, asksForCertificates, logger });
}
