// Whether a call waits while no endpoint is ready, as its caller says. Waits for nothing itself.

import { type ContextKey, createContextKey } from "@connectrpc/connect";

/**
 * The context value that says for one call whether it waits while no endpoint is ready, in place of what service config and transport say:
 * `client.sayHello(request, { contextValues: createContextValues().set(waitForReady, false) })`. With `false` a call fails at once where no
 * endpoint is known, where none can be connected to, and where all that are ready have refused it; it waits all the same for the first
 * answer about endpoints and for connections that are being opened. Default: undefined, as the transport has it.
 */
export const waitForReady: ContextKey<boolean | undefined> = createContextKey<boolean | undefined>(undefined, {
  description: "whether the call waits while no endpoint is ready",
});
