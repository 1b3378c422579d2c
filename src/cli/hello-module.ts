// What `lictor serve` serves where no module is named: HelloService, with the original's line for each call.

import type { Logger } from "../core/logger.ts";
import { createHelloService } from "../hello/hello-service.ts";
import type { ServiceModule } from "../server/service-module.ts";

/** HelloService as a service module. */
export function helloModule(logger: Logger): ServiceModule {
  return {
    routes: createHelloService({
      onCall: (caller, address) => logger.info(`client ${caller} called SayHello from Server: ${address}`),
    }),
  };
}
