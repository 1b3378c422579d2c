// What `lictor serve MODULE` runs: the contract of a module that has a service and leaves the rest to the command line. Types only.

import type { ServeOptions } from "./serve-options.ts";

/**
 * A service to serve, as a module's default export: `export default { routes } satisfies ServiceModule`. A module that has
 * nothing but routes may export that function alone. Where a server listens, what it tells Consul of itself, its TLS and its log
 * are the command line's; a flag that is given wins over the module.
 */
export interface ServiceModule
  extends Omit<
    ServeOptions,
    "host" | "port" | "tls" | "advertise" | "consul" | "reflection" | "graceMs" | "logger" | "clock" | "random"
  > {
  /**
   * Called once when every server has stopped: closes what the module opened when it was loaded. The process ends when it resolves; where
   * that takes longer than the grace, of a second at least, with a warning and exit code 1.
   */
  readonly close?: () => void | Promise<void>;
}
