// A source of service configs that a test feeds by hand.

import type { ServiceConfigListener, ServiceConfigSource } from "../../src/transport/service-config/service-config.ts";

/** A source whose configs are the test's. */
export interface HandConfig extends ServiceConfigSource {
  push(json: unknown): void;
  fail(error: unknown): void;
  readonly listeners: number;
}

/** Creates one that knows nothing yet. */
export function createHandConfig(): HandConfig {
  const listeners = new Set<ServiceConfigListener>();
  return {
    description: "the test's config",
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    push(json) {
      for (const listener of [...listeners]) listener.onConfig(json);
    },
    fail(error) {
      for (const listener of [...listeners]) listener.onError(error);
    },
    get listeners() {
      return listeners.size;
    },
  };
}
