// A stand-in for the npm registry on which lictor is published already; sends on to the real one for everything else. For
// Deno, which installs npm packages from registries only. Reads one archive, writes nothing.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { listenOnLoopback } from "../support/loopback.ts";

/** Where the registry answers. */
export interface Registry extends AsyncDisposable {
  /** For `NPM_CONFIG_REGISTRY`. */
  readonly address: string;
}

/** Starts it with the version that the archive holds. */
export async function startRegistry(tarball: string): Promise<Registry> {
  const archive = readFileSync(tarball);
  const manifest = JSON.parse(execFileSync("tar", ["-xzOf", tarball, "package/package.json"], { encoding: "utf8" }));
  // The one that npm uses here, whatever it is.
  const configured = execFileSync("npm", ["config", "get", "registry"], { encoding: "utf8" }).trim();
  const upstream = configured.endsWith("/") ? configured : `${configured}/`;
  let address = "";
  const server = createServer(({ url = "/" }, response) => {
    if (url === `/${manifest.name}`) {
      const integrity = `sha512-${createHash("sha512").update(archive).digest("base64")}`;
      const version = { ...manifest, dist: { tarball: `${address}archive.tgz`, integrity } };
      response.setHeader("content-type", "application/json").end(
        JSON.stringify({
          name: manifest.name,
          "dist-tags": { latest: manifest.version },
          versions: { [manifest.version]: version },
        }),
      );
    } else if (url === "/archive.tgz") {
      response.end(archive);
    } else {
      response.writeHead(302, { location: upstream.replace(/\/?$/, url) }).end();
    }
  });
  const listening = await listenOnLoopback(server);
  address = `http://127.0.0.1:${listening.port}/`;
  return { address, [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose]() };
}
