// Keeps an instance in (or out of) maintenance, as its owner wishes: tried again until Consul has it, and put back after a
// re-registration, which takes it away. https://developer.hashicorp.com/consul/api-docs/agent/service#enable-maintenance-mode

import { ConsulError } from "../consul/consul-error.ts";

/** Tells Consul. Aborted where the instance is to be registered anew, or is no more. */
export type SendMaintenance = (enable: boolean, reason: string, signal: AbortSignal) => Promise<void>;

/** A wish and what has become of it. */
export interface MaintenanceWish {
  /** The reason of the maintenance that is in force; undefined when none is. */
  readonly reasonInForce: string | undefined;
  /** Changes the wish and sends it if `online`. Resolves when it, or a later one, is in force. Rejects when Consul refuses it (then it is dropped) or with `end`'s error. */
  ask(enable: boolean, reason: string, online: boolean): Promise<void>;
  /** Sends what is wished but not in force. Rejects when that failed and the wish stands. */
  fulfil(): Promise<void>;
  /** The instance is registered anew, here or elsewhere: its maintenance is no more. What is on its way is given up, and sent again by `fulfil`. */
  forget(): void;
  /** Nothing is wished any more; everyone who waits is told `error`. */
  end(error: unknown): void;
}

interface Waiter {
  readonly version: number;
  resolve(): void;
  reject(error: unknown): void;
}

/** Creates a wish for no maintenance. */
export function createMaintenanceWish(send: SendMaintenance): MaintenanceWish {
  let wished: { readonly enable: boolean; readonly reason: string } = { enable: false, reason: "" };
  let reasonInForce: string | undefined;
  // Versions, as the same wish made again must be sent again: an operator may have meddled.
  let version = 0;
  let versionInForce = 0;
  let sending: Promise<void> | undefined;
  let abort = new AbortController();
  let waiters: readonly Waiter[] = [];

  const settle = (upTo: number, tell: (waiter: Waiter) => void): void => {
    const due = waiters.filter((waiter) => waiter.version <= upTo);
    waiters = waiters.filter((waiter) => waiter.version > upTo);
    for (const waiter of due) tell(waiter);
  };

  const sendAll = async (signal: AbortSignal): Promise<void> => {
    while (versionInForce !== version) {
      const sent = version;
      const { enable, reason } = wished;
      try {
        await send(enable, reason, signal);
        signal.throwIfAborted();
      } catch (error) {
        if (signal.aborted || !isRefusal(error)) throw error;
        if (version === sent) wished = { enable: reasonInForce !== undefined, reason: reasonInForce ?? "" };
        versionInForce = sent;
        settle(sent, (waiter) => waiter.reject(error));
        continue;
      }
      versionInForce = sent;
      reasonInForce = enable ? reason : undefined;
      settle(sent, (waiter) => waiter.resolve());
    }
  };

  const fulfil = (): Promise<void> => {
    if (sending !== undefined) return sending;
    const { signal } = abort;
    const sendingNow = sendAll(signal).finally(() => {
      if (!signal.aborted) sending = undefined;
    });
    sending = sendingNow;
    return sendingNow;
  };

  const giveUp = (reason: unknown): void => {
    abort.abort(reason);
    abort = new AbortController();
    sending = undefined;
  };

  return {
    get reasonInForce() {
      return reasonInForce;
    },
    ask(enable, reason, online) {
      wished = { enable, reason };
      version++;
      const inForce = new Promise<void>((resolve, reject) => {
        waiters = [...waiters, { version, resolve, reject }];
      });
      // A failure here is tried again with the next heartbeat: it is the waiters' business only when Consul refuses.
      if (online) fulfil().catch(() => {});
      return inForce;
    },
    fulfil,
    forget() {
      giveUp(new Error("The instance is registered anew"));
      reasonInForce = undefined;
      if (wished.enable) version++;
    },
    end(error) {
      giveUp(error);
      versionInForce = version;
      settle(version, (waiter) => waiter.reject(error));
    },
  };
}

/** A 4xx is an answer to the wish itself, but for 404 (the instance is unknown and will be registered again) and 429 (later, please). */
function isRefusal(error: unknown): boolean {
  if (!(error instanceof ConsulError) || error.status === undefined) return false;
  return error.status >= 400 && error.status < 500 && error.status !== 404 && error.status !== 429;
}
