// The service config that a transport goes by now: the one given in code, or the last good one of a source. Reads nothing by itself;
// placement, throttle and pool look here for what holds.

import type { DescMethod } from "@bufbuild/protobuf";
import type { Logger } from "../../core/logger.ts";
import { describeError } from "../describe-error.ts";
import { parseServiceConfig } from "./parse-service-config.ts";
import type { MethodPolicy, ServiceConfig, ServiceConfigSource } from "./service-config.ts";
import { ServiceConfigError } from "./service-config-error.ts";
import type { ServiceConfigJson } from "./service-config-json.ts";

/** A config in code (an object, or JSON's text), or where to get one. */
export type GivenServiceConfig = ServiceConfigJson | string | ServiceConfigSource;

/** What is known of a transport's service config. */
export interface ServiceConfigStatus {
  /** Where it is read from; absent where it was given in code. */
  readonly source?: string;
  /** Whether calls go by one now. */
  readonly isInUse: boolean;
  /** Why the newest one cannot be used or read: what is in use is an older one, or none. Absent where all is well. */
  readonly error?: string;
}

export class ServiceConfigHolder {
  /** What holds now; undefined without a config. Replaced whole, never changed. */
  current: ServiceConfig | undefined = undefined;
  /** Whether calls need not wait for the source: it has answered, has failed, or there is none. */
  isKnown: boolean;
  readonly #source: ServiceConfigSource | undefined;
  readonly #logger: Logger;
  readonly #listeners = new Set<() => void>();
  /** What was told last, used or not. */
  #told: unknown;
  /** Why the newest config of the source is not in use; undefined where it is. */
  #rejection: ServiceConfigError | undefined;
  /** Why the source could not be read last; undefined where it could. */
  #lost: { readonly error: unknown } | undefined;
  #stop: (() => void) | undefined;

  /** Throws ServiceConfigError for a config in code that cannot be used. Subscribes to nothing before `start()`. */
  constructor(given: GivenServiceConfig | undefined, logger: Logger) {
    this.#logger = logger;
    this.#source = isSource(given) ? given : undefined;
    this.isKnown = this.#source === undefined;
    if (given !== undefined && this.#source === undefined) this.#use(parseServiceConfig(given), {});
  }

  /** What holds for a method. Cheap enough for every call. */
  policyOf(method: DescMethod): MethodPolicy | undefined {
    return this.current?.policyOf(method);
  }

  /** Plain data; undefined where none was ever given. */
  status(): ServiceConfigStatus | undefined {
    const isInUse = this.current !== undefined;
    if (this.#source === undefined) return isInUse ? { isInUse } : undefined;
    const error = this.#lost?.error ?? this.#rejection;
    return {
      source: this.#source.description,
      isInUse,
      ...(error === undefined ? {} : { error: describeError(error) }),
    };
  }

  /** Follows the source. Does nothing without one, and when started. */
  start(): void {
    if (this.#source === undefined || this.#stop !== undefined) return;
    this.#stop = () => {};
    this.#stop = this.#source.subscribe({
      onConfig: (json) => this.#onConfig(json),
      onError: (error) => this.#onError(error),
    });
  }

  /** Lets the source go; what holds goes on to. May be started again. */
  stop(): void {
    this.#stop?.();
    this.#stop = undefined;
  }

  /** Calls `listener` with every change of `current`, and when `isKnown` becomes true. Returns what ends that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  #onConfig(json: unknown): void {
    const fields = { source: this.#source?.description };
    if (this.#lost !== undefined) {
      this.#lost = undefined;
      this.#logger.info("The service config can be read again", fields);
    }
    const isRepeated = this.isKnown && json !== undefined && json === this.#told;
    this.#told = json;
    if (isRepeated) return;
    if (json === undefined) {
      this.#rejection = undefined;
      if (this.current !== undefined) this.#logger.info("There is no service config any more", fields);
      this.#use(undefined, fields);
      return;
    }
    try {
      this.#use(parseServiceConfig(json), fields);
      this.#rejection = undefined;
      this.#logger.info("A service config is in use", fields);
    } catch (error) {
      if (!(error instanceof ServiceConfigError)) throw error;
      this.#rejection = error;
      const stands = this.current === undefined ? "none is in use" : "the last good one stands";
      this.#logger.warn(`A service config cannot be used: ${stands}`, { ...fields, error });
      this.#tellKnown();
    }
  }

  #onError(error: unknown): void {
    const isNews = this.#lost === undefined;
    this.#lost = { error };
    if (isNews) {
      const stands = this.current === undefined ? "none is in use" : "the last good one stands";
      this.#logger.warn(`The service config cannot be read: ${stands}`, { source: this.#source?.description, error });
    }
    this.#tellKnown();
  }

  #use(config: ServiceConfig | undefined, fields: { readonly source?: string | undefined }): void {
    const isChange = this.current !== config;
    this.current = config;
    for (const warning of config?.warnings ?? []) this.#logger.warn(`Service config: ${warning}`, fields);
    if (isChange || !this.isKnown) this.#tell();
  }

  #tellKnown(): void {
    if (!this.isKnown) this.#tell();
  }

  #tell(): void {
    this.isKnown = true;
    for (const listener of [...this.#listeners]) listener();
  }
}

/** No service config has a field of this name. */
function isSource(given: GivenServiceConfig | undefined): given is ServiceConfigSource {
  return typeof given === "object" && given !== null && "subscribe" in given && typeof given.subscribe === "function";
}
