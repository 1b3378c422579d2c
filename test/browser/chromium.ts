// Finds Chromium and starts it without a window, for tests of what runs in a page. Never downloads one, and lets it speak to
// this machine's loopback only: without a Chromium, tests are skipped, and where CI=true they fail.

import process from "node:process";
import { type Browser, chromium } from "playwright-core";
import { findExecutable } from "../support/find-executable.ts";

/** What to do where there is no Chromium. */
export const noChromium = "no Chromium: install Debian's package chromium, or set CHROMIUM_BIN";

/** Path of a Chromium: CHROMIUM_BIN, then the names that Debian and others give it on PATH. */
export function findChromium(): string | undefined {
  return findExecutable("CHROMIUM_BIN", ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"]);
}

/** For the `skip` option of tests: a reason where there is no Chromium, else false. False too where CI=true: there they fail. */
export const chromiumSkip: string | false =
  findChromium() !== undefined || process.env.CI === "true" ? false : noChromium;

const flags = [
  // Nobody but this machine: neither the browser's own errands nor a page find another host.
  "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost",
  "--no-proxy-server",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-domain-reliability",
  "--disable-sync",
  "--metrics-recording-only",
  "--no-first-run",
  "--no-pings",
  // A container's /dev/shm is small.
  "--disable-dev-shm-usage",
  "--disable-gpu",
];

/** Starts a browser with a profile of its own, which is gone when it is closed. */
export async function launchChromium(): Promise<Browser> {
  const executablePath = findChromium();
  if (executablePath === undefined) throw new Error(`Cannot start a browser: ${noChromium}`);
  // Its sandbox refuses root, as whom CI runs.
  const isRoot = process.getuid?.() === 0;
  return chromium.launch({ executablePath, chromiumSandbox: !isRoot, args: flags, timeout: 30_000 });
}
