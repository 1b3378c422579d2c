// How a command is told where Consul is: flags first, then the variables of Consul's own command line.

import { type ConsulClient, type ConsulClientOptions, createConsulClient } from "../consul/consul-client.ts";
import type { Logger } from "../core/logger.ts";
import { consulFromEnv } from "../runtime/consul-from-env.ts";
import { refuseBadSettings } from "./bad-settings.ts";
import type { Environment } from "./command-line.ts";
import { type Flag, flag } from "./flags.ts";

interface ConsulFlags {
  readonly consul: Flag<string | undefined>;
  readonly "token-file": Flag<string | undefined>;
}

/** The flags `--consul` and `--token-file`. */
export const consulFlags: ConsulFlags = {
  consul: flag.text({
    placeholder: "URL",
    env: "CONSUL_HTTP_ADDR",
    defaultText: "http://127.0.0.1:8500",
    help: "The Consul agent: host:port, http://, https:// or unix:///path; several of one cluster joined by commas.",
  }),
  "token-file": flag.text({
    placeholder: "FILE",
    env: "CONSUL_HTTP_TOKEN_FILE",
    help: "File that holds the ACL token. There is no flag for the token itself: everyone on the machine could read it.",
  }),
};

/** A paragraph for the help of commands with these flags. */
export const consulNote: string =
  "Also read, as Consul's own command line does: CONSUL_HTTP_TOKEN, CONSUL_HTTP_AUTH, CONSUL_HTTP_SSL, CONSUL_HTTP_SSL_VERIFY, " +
  "CONSUL_CACERT, CONSUL_CAPATH, CONSUL_CLIENT_CERT, CONSUL_CLIENT_KEY, CONSUL_TLS_SERVER_NAME, CONSUL_NAMESPACE, CONSUL_PARTITION.";

/** What a target says of the agent. It wins over environment variables. */
export type NamedAgent = Pick<ConsulClientOptions, "address" | "namespace" | "partition">;

/** The client that flags and environment ask for. Reads the files they name. Throws UsageError. */
export function consulClientFor(
  flags: { readonly consul: string | undefined; readonly "token-file": string | undefined },
  env: Environment,
  logger: Logger,
  named: NamedAgent = {},
): ConsulClient {
  const { consul: address, "token-file": tokenFile } = flags;
  return refuseBadSettings(() =>
    createConsulClient(
      // What came from a variable is left to consulFromEnv, which names the variable where it is wrong.
      consulFromEnv(env, {
        logger,
        ...(address === undefined || address === env.CONSUL_HTTP_ADDR ? {} : { address }),
        ...(tokenFile === undefined || tokenFile === env.CONSUL_HTTP_TOKEN_FILE ? {} : { tokenFile }),
        ...named,
      }),
    ),
  );
}
