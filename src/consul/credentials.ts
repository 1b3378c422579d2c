// The secrets of a request: how they are written, and which they are.

import type { AgentOptions } from "./client-options.ts";

/** RFC 7617, with UTF-8 as its section 2.1 has it. */
export function basicAuthorization({ username, password }: { username: string; password: string }): string {
  const bytes = new TextEncoder().encode(`${username}:${password}`);
  return `Basic ${btoa(String.fromCharCode(...bytes))}`;
}

/** Every text of a request that nobody may see. */
export function secretsOf(client: AgentOptions, token: string | undefined): string[] {
  const auth = client.basicAuth;
  const secretHeaders = Object.entries(client.headers)
    .filter(([name]) => /^(authorization|proxy-authorization|cookie|x-consul-token)$/i.test(name))
    .map(([, value]) => value);
  const authorization = auth === undefined ? [] : [auth.password, basicAuthorization(auth).slice("Basic ".length)];
  return [...(token === undefined ? [] : [token]), ...authorization, ...secretHeaders];
}
