// Which servers a connector's connections ask whether they are still there, and how often: gRFC A8. Sends nothing itself.

import { type Clock, maxTimerMs } from "../core/clock.ts";
import type { Endpoint } from "../core/endpoint.ts";
import { isLictorMeta } from "../core/lictor-meta.ts";
import { Keepalive, type KeepaliveConnection } from "../grpc/keepalive.ts";
import { ErrorCode } from "../http2/error-code.ts";
import { type KeepaliveOptions, lictorKeepalive } from "./connector-options.ts";

const defaultTimeoutMs = 20_000;

/** What all connections of one connector share. */
export class KeepalivePolicy {
  readonly #given: KeepaliveOptions | false | undefined;
  readonly #clock: Clock;
  /** Longer times between PINGs, by the URL of who asked for them. */
  readonly #longerMs = new Map<string, number>();

  /** `given` undefined: towards those that say that they take it. */
  constructor(given: KeepaliveOptions | false | undefined, clock: Clock) {
    this.#given = given;
    this.#clock = clock;
  }

  /** Begins to ask a server, if it is one to be asked; `onDead` is told at most once that it does not answer. */
  start(endpoint: Endpoint, connection: KeepaliveConnection, onDead: (reason: Error) => void): Keepalive | undefined {
    const options = this.#optionsFor(endpoint);
    if (options === undefined) return undefined;
    const { timeMs, timeoutMs = defaultTimeoutMs, permitWithoutCalls = false } = options;
    const keepalive = new Keepalive({
      connection,
      clock: this.#clock,
      timeMs: this.#longerMs.get(endpoint.url) ?? timeMs,
      timeoutMs,
      permitWithoutCalls,
      onDead: () => onDead(new Error(`the server has not answered a PING in ${timeoutMs} ms`)),
    });
    keepalive.start();
    return keepalive;
  }

  /** A server ends a connection. Where that is for too many PINGs, it is asked half as often from its next one on. */
  onGoaway(endpoint: Endpoint, code: number, debugText: string): void {
    if (code !== ErrorCode.enhanceYourCalm || debugText !== "too_many_pings") return;
    const options = this.#optionsFor(endpoint);
    if (options === undefined) return;
    const { url } = endpoint;
    this.#longerMs.set(url, Math.min((this.#longerMs.get(url) ?? options.timeMs) * 2, maxTimerMs));
  }

  #optionsFor({ meta }: Endpoint): KeepaliveOptions | undefined {
    if (this.#given === false) return undefined;
    return this.#given ?? (isLictorMeta(meta) ? lictorKeepalive : undefined);
  }
}
