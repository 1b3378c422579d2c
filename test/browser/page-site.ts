// A web site of one page and one script, on an origin of its own: where the tests' pages come from. Serves no RPC.

import { createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { CertificatePair } from "../support/certificates.ts";
import { listenOnLoopback } from "../support/loopback.ts";

/** A running site. */
export interface PageSite extends AsyncDisposable {
  /** `http://127.0.0.1:PORT`, or https. */
  readonly origin: string;
}

const html = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <title>lictor</title>
    <link rel="icon" href="data:,">
    <script type="module" src="/page.js"></script>
  </head>
  <body></body>
</html>
`;

/** Starts a site on a free loopback port; over TLS where there is a certificate. */
export async function startPageSite(script: string, certificate?: CertificatePair): Promise<PageSite> {
  const files: Readonly<Record<string, readonly [type: string, text: string]>> = {
    "/": ["text/html", html],
    "/page.js": ["text/javascript", script],
  };
  const server = certificate === undefined ? createServer() : createSecureServer(certificate);
  server.on("request", (request, response) => {
    const file = files[request.url ?? ""];
    if (file === undefined) response.writeHead(404).end();
    else response.writeHead(200, { "content-type": `${file[0]}; charset=utf-8` }).end(file[1]);
  });
  const listening = await listenOnLoopback(server);
  return {
    origin: `${certificate === undefined ? "http" : "https"}://127.0.0.1:${listening.port}`,
    [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose](),
  };
}
