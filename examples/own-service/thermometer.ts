// ThermometerService, written as any Connect service is. Knows neither Consul nor sockets.

import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import type { Server } from "lictor";
import { ThermometerService } from "./gen/example/thermometer/v1/thermometer_pb.ts";

const rooms: ReadonlyMap<string, number> = new Map([
  ["kitchen", 21.5],
  ["cellar", 12],
]);

/** The routes, to be given to `serve`. */
export function thermometer(router: ConnectRouter, server: Server): void {
  router.service(ThermometerService, {
    read({ room }) {
      const { host, port } = server.address?.announced ?? {};
      return { celsius: temperatureOf(room), instance: `${host}:${port}` };
    },
    async *watch({ room, readings }) {
      for (let reading = 0; reading < readings; reading++) yield { celsius: temperatureOf(room) + reading / 10 };
    },
  });
}

function temperatureOf(room: string): number {
  const celsius = rooms.get(room);
  if (celsius === undefined) throw new ConnectError(`no thermometer in room ${JSON.stringify(room)}`, Code.NotFound);
  return celsius;
}
