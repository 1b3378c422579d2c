// Tells a client from what one can be made of. A file of its own, as who only asks needs no client in its bundle.

/** Whether `consul` is a client: neither options nor an address. */
export function isConsulClient<C>(consul: C): consul is Extract<C, { readonly agent: unknown }> {
  return typeof consul === "object" && consul !== null && "agent" in consul;
}
