// Registers an instance in Consul with its check and keeps it there: heartbeats, again when forgotten, out on close.
// Installs no signal handlers and listens on no port; it never has two registrations of the instance under way.

import type { ConsulClient } from "../consul/consul-client.ts";
import { ConsulError, isUnknownCheck } from "../consul/consul-error.ts";
import { createBackoff } from "../core/backoff.ts";
import { sleep } from "../core/clock.ts";
import { deregister } from "./deregister.ts";
import { createHealthReporter } from "./health-reporter.ts";
import { createHomes, type Homes } from "./homes.ts";
import { createMaintenanceWish, type MaintenanceWish } from "./maintenance-wish.ts";
import { type Pulse, startPulse } from "./pulse.ts";
import type { HealthReport, RegisterOptions } from "./register-options.ts";
import type { Registration, RegistrationState } from "./registration.ts";
import { checkIdOf, registrationBody } from "./registration-body.ts";
import { createTroubleLog, type TroubleLog } from "./trouble-log.ts";
import { type ResolvedRegistration, resolveRegistration } from "./validate-registration.ts";
import { waitUntilGone } from "./wait-until-gone.ts";

/** Longest wait for an answer to a write: a quorum-less agent takes 7 to 21 s to say 200 (measured on Consul 1.8.7). */
const writeTimeoutMs = 30_000;
/** Longest wait on close for a registration in flight, and then for the deregistration. */
const closeRegisterMs = 2000;
const closeDeregisterMs = 5000;

const statusOf = { pass: "passing", warn: "warning", fail: "critical" } as const;

/** What a beat fails with when the agent answers but does not know the instance. */
const forgotten = new Error("The agent does not know the instance");

/**
 * Registers an instance and keeps it registered until `close()`; starts at once and returns before Consul has answered.
 * Service and check go in one call, critical at first, and the first heartbeat follows at once. An agent that has
 * forgotten the instance (restarted, wiped) gets it back within one heartbeat; while Consul is away it is tried again
 * and again, at least once per heartbeat interval, and with the next agent where several are named: soon where this one never
 * had it and fails, or says nothing for 3 s, else after `failoverAfterMs`. The first registration replaces what an earlier
 * process left under the same id, its checks and its maintenance included.
 * Throws TypeError or RangeError for bad options, and the signal's reason where it has aborted already; nothing is sent then.
 */
export function registerService(options: RegisterOptions): Registration {
  const resolved = resolveRegistration(options);
  options.signal?.throwIfAborted();
  const registration = new KeptRegistration(resolved, options.signal);
  registration.start();
  return registration;
}

class KeptRegistration implements Registration {
  readonly id: string;
  readonly registered: Promise<void>;
  readonly #settings: ResolvedRegistration;
  readonly #signal: AbortSignal | undefined;
  readonly #firstAccepted: PromiseWithResolvers<void> = Promise.withResolvers();
  /** Aborted by close: ends the waits between attempts. */
  readonly #ended = new AbortController();
  /** Aborts the registration in flight, which close lets finish first if it can. */
  readonly #putAbort = new AbortController();
  readonly #wish: MaintenanceWish;
  readonly #trouble: TroubleLog;
  readonly #maintenanceTrouble: TroubleLog;
  readonly #report: () => Promise<HealthReport>;
  #state: RegistrationState = { type: "registering", attempts: 0 };
  #put: Promise<void> | undefined;
  readonly #homes: Homes;
  /** Agents that have taken a registration. */
  readonly #accepted: Set<ConsulClient> = new Set();
  #isRegistering = false;
  #pulse: Pulse | undefined;
  #lastHealth: HealthReport["status"] = "pass";
  #closing: Promise<void> | undefined;

  constructor(settings: ResolvedRegistration, signal: AbortSignal | undefined) {
    const { client, id, name, logger, clock, check } = settings;
    this.id = id;
    this.registered = this.#firstAccepted.promise;
    // Whoever does not wait for it must not crash by it.
    this.registered.catch(() => {});
    this.#settings = settings;
    this.#signal = signal;
    const fields = { service: name, id, consul: client.address };
    this.#trouble = createTroubleLog(
      logger,
      { failed: "Cannot register in Consul or send it heartbeats, trying on", worked: "Consul is back" },
      fields,
    );
    this.#maintenanceTrouble = createTroubleLog(
      logger,
      { failed: "Cannot change maintenance in Consul, trying on", worked: "Changed maintenance in Consul" },
      fields,
    );
    this.#wish = createMaintenanceWish((enable, reason, signal) =>
      this.#homes.current.agent.serviceMaintenance(id, enable, { reason, signal, timeoutMs: writeTimeoutMs }),
    );
    this.#homes = createHomes({
      client,
      name,
      id,
      failoverAfterMs: settings.failoverAfterMs,
      intervalMs: check.intervalMs,
      signal: this.#ended.signal,
      onLost: () => void this.#register(),
      logger,
      clock,
      random: settings.random,
    });
    // 90 % of the interval: the earliest the next heartbeat can be due.
    this.#report = createHealthReporter(settings.health, check.intervalMs * 0.9, clock);
  }

  get state(): RegistrationState {
    const reason = this.#wish.reasonInForce;
    return this.#state.type === "registered" && reason !== undefined ? { type: "maintenance", reason } : this.#state;
  }

  start(): void {
    const { name, logger } = this.#settings;
    this.#signal?.addEventListener("abort", this.#onAbort, { once: true });
    if (!/^[A-Za-z0-9-]+$/.test(name)) {
      logger.info("Consul's DNS interface will not serve this service name", { service: name });
    }
    void this.#register();
  }

  async maintenance(enable: boolean, reason = ""): Promise<void> {
    if (this.#closing !== undefined) throw this.#closedError("change maintenance");
    const online = this.#state.type === "registered";
    await this.#wish.ask(enable, reason, online);
  }

  gone(options: { readonly orCritical?: boolean; readonly signal?: AbortSignal } = {}): Promise<void> {
    const { client, name, id, clock, random } = this.#settings;
    return waitUntilGone({ client, name, id, homes: this.#homes.all, clock, random, ...options });
  }

  close(): Promise<void> {
    this.#closing ??= this.#leave();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  readonly #onAbort = (): void => {
    void this.close();
  };

  /** Registers, with backoff until it works, then starts the heartbeats. One at a time: called at the start and by a heartbeat that found us forgotten, whose pulse ends here. */
  async #register(): Promise<void> {
    // An agent that was left, and a heartbeat, may find at the same time that we are unknown.
    if (this.#isRegistering || this.#ended.signal.aborted) return;
    this.#isRegistering = true;
    try {
      await this.#registerUntilTaken();
    } finally {
      this.#isRegistering = false;
    }
    if (!this.#ended.signal.aborted) this.#startPulse();
  }

  /** Returns when an agent has taken the registration, or when we are closed. */
  async #registerUntilTaken(): Promise<void> {
    const { clock, random, check } = this.#settings;
    this.#pulse?.stop();
    this.#wish.forget();
    // Jitter included, no wait is longer than the heartbeat interval.
    const maxMs = check.intervalMs / 1.2;
    const backoff = createBackoff({ initialMs: Math.min(250, maxMs), maxMs, random });
    let lastError: unknown;
    for (let attempts = 1; ; attempts++) {
      this.#state = { type: "registering", attempts, ...(attempts > 1 && { lastError }) };
      let pauseMs: number;
      try {
        await this.#putRegistration();
        // Before the first pass, lest an instance in maintenance be called for a moment.
        if (!this.#ended.signal.aborted) await this.#wish.fulfil();
        break;
      } catch (error) {
        if (this.#ended.signal.aborted) return;
        lastError = error;
        this.#state = { type: "registering", attempts, lastError };
        this.#trouble.failed(error);
        const hasMoved = this.#homes.moveIfOverdue(error);
        if (hasMoved && attempts < this.#homes.count) {
          // Each agent soon for the first time; again at our own pace.
          backoff.reset();
          pauseMs = backoff.next();
        } else {
          pauseMs = Math.max(backoff.next(), askedPause(error, maxMs));
        }
      }
      try {
        await sleep(pauseMs, clock, this.#ended.signal);
      } catch {
        return;
      }
    }
  }

  async #registerLater(): Promise<void> {
    try {
      await sleep(this.#settings.check.intervalMs, this.#settings.clock, this.#ended.signal);
    } catch {
      return;
    }
    await this.#register();
  }

  async #putRegistration(): Promise<void> {
    // Later ones must not remove the maintenance that an operator has set meanwhile.
    const replaceExistingChecks = !this.#accepted.has(this.#homes.current);
    const { patienceMs, current } = this.#homes;
    this.#homes.noteSent();
    this.#put = current.agent.registerService(registrationBody(this.#settings), {
      replaceExistingChecks,
      signal: this.#putAbort.signal,
      timeoutMs: Math.min(writeTimeoutMs, patienceMs ?? writeTimeoutMs),
    });
    try {
      await this.#put;
      this.#accepted.add(current);
      this.#homes.noteAccepted();
    } finally {
      this.#put = undefined;
    }
  }

  #startPulse(): void {
    const { check, clock, random } = this.#settings;
    this.#pulse = startPulse({
      beat: async (signal) => {
        // An agent that is silent fails no beat for long: whether it is time to leave it is asked with each.
        if (this.#moveIfOverdue(undefined)) return signal.throwIfAborted();
        await (check.type === "ttl" ? this.#heartbeat(signal) : this.#verify(signal));
      },
      intervalMs: check.intervalMs,
      onSuccess: () => this.#onBeatAccepted(),
      onFailure: (error) => this.#onBeatFailed(error),
      clock,
      random,
    });
  }

  async #heartbeat(signal: AbortSignal): Promise<void> {
    const { id, logger, name } = this.#settings;
    const { status, note = "" } = await this.#report();
    signal.throwIfAborted();
    if (status !== this.#lastHealth) {
      this.#lastHealth = status;
      logger[status === "pass" ? "info" : "warn"]("Health has changed", { service: name, id, status, note });
    }
    await this.#homes.current.agent.updateCheck(
      checkIdOf(id),
      { status: statusOf[status], output: note },
      { signal, timeoutMs: writeTimeoutMs },
    );
  }

  /** Checks that the agent runs itself tell us nothing: so ask whether it still knows the instance. */
  async #verify(signal: AbortSignal): Promise<void> {
    const { id } = this.#settings;
    if ((await this.#homes.current.agent.service(id, { signal, timeoutMs: writeTimeoutMs })) === undefined)
      throw forgotten;
  }

  #onBeatAccepted(): void {
    const { name, id, clock, logger } = this.#settings;
    this.#trouble.worked();
    this.#homes.noteAccepted();
    if (this.#state.type === "registering") {
      this.#state = { type: "registered", sinceMs: clock.now() };
      logger.info("Registered in Consul", { service: name, id, consul: this.#homes.current.address });
      this.#firstAccepted.resolve();
    }
    this.#homes.settle();
    this.#wish.fulfil().then(
      () => this.#maintenanceTrouble.worked(),
      (error) => {
        if (!this.#ended.signal.aborted) this.#maintenanceTrouble.failed(error);
      },
    );
  }

  #onBeatFailed(error: unknown): void {
    if (error === forgotten || isUnknownCheck(error)) {
      if (this.#state.type === "registered") {
        const { name, id, logger } = this.#settings;
        logger.warn("Consul has forgotten the instance, registering it again", {
          service: name,
          id,
          consul: this.#homes.current.address,
        });
        void this.#register();
        return;
      }
      // No heartbeat was accepted since the last registration: whoever took that is not who answers these (several agents behind
      // one address, say). Once an interval is enough.
      this.#trouble.failed(error);
      this.#pulse?.stop();
      void this.#registerLater();
      return;
    }
    if (this.#state.type === "registering") this.#state = { ...this.#state, lastError: error };
    this.#trouble.failed(error);
    this.#moveIfOverdue(error);
  }

  /** Registers with the next agent where this one has accepted nothing for too long. */
  #moveIfOverdue(error: unknown): boolean {
    const hasMoved = this.#homes.moveIfOverdue(error);
    if (hasMoved) void this.#register();
    return hasMoved;
  }

  async #leave(): Promise<void> {
    const { name, id, clock, random, logger } = this.#settings;
    this.#state = { type: "closing" };
    this.#signal?.removeEventListener("abort", this.#onAbort);
    const closed = this.#closedError("register");
    this.#firstAccepted.reject(closed);
    this.#pulse?.stop();
    this.#ended.abort(closed);
    this.#wish.end(this.#closedError("change maintenance"));
    await this.#settlePut();
    const out = (home: ConsulClient, maxAttempts: number) =>
      deregister({ client: home, id, maxAttempts, withinMs: closeDeregisterMs, clock, random });
    const { current, left } = this.#homes;
    const wasAccepted = this.#accepted.has(current);
    const [error] = await Promise.all([
      // Where Consul never took the instance there is likely nothing to remove: one try is enough.
      out(current, wasAccepted ? 4 : 1),
      // Those were given up already; what they still have is critical, or will be.
      ...left.map((home) => out(home, 1)),
    ]);
    this.#state = { type: "closed" };
    const fields = { service: name, id, consul: current.address };
    if (error === undefined && wasAccepted) logger.info("Deregistered from Consul", fields);
    if (error !== undefined)
      logger.warn("Cannot deregister from Consul: it will drop the instance by itself", { ...fields, error });
  }

  /** Lets the registration in flight finish, so that the deregistration comes after it; gives it up after a while. */
  async #settlePut(): Promise<void> {
    const put = this.#put;
    if (put === undefined) return;
    await new Promise<void>((resolve) => {
      const cancel = this.#settings.clock.schedule(closeRegisterMs, () => {
        this.#putAbort.abort(this.#closedError("register"));
        resolve();
      });
      const settled = (): void => {
        cancel();
        resolve();
      };
      put.then(settled, settled);
    });
  }

  #closedError(action: string): Error {
    return new Error(`Cannot ${action} "${this.#settings.name}" as its registration is closed: ${this.id}`);
  }
}

/** How long Consul asks to be left alone; no longer than `mostMs`, as an instance that is not registered is not called. */
function askedPause(error: unknown, mostMs: number): number {
  return error instanceof ConsulError ? Math.min(error.retryAfterMs ?? 0, mostMs) : 0;
}
