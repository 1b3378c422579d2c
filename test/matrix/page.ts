// A page's script that carries out EdgeOrders, as `callByEdge`.

import { callByEdge } from "./edge-caller.ts";

Object.assign(globalThis, { callByEdge });
