// Workers in workerd, through miniflare: bundles a source, starts it, and asks it. The one place that pins the
// compatibility date of every Worker of these tests.

import { Miniflare, type WorkerOptions } from "miniflare";
import { bundleForWeb } from "../support/bundle.ts";

/** https://developers.cloudflare.com/workers/configuration/compatibility-dates/ */
export const compatibilityDate = "2026-07-01";

/** A Worker of a test: its bindings, and miniflare's other options. */
export type TestWorkerOptions = Partial<WorkerOptions> & { readonly name?: string };

/** Workers that run in one workerd process, each in an isolate of its own. */
export interface TestWorkers extends AsyncDisposable {
  /** Where the first Worker takes requests from anybody. */
  readonly url: URL;
  /** Writes into a KV namespace of the first Worker. */
  putKv(namespace: string, key: string, value: string): Promise<void>;
  /** Sends a GET to the first Worker, or to the one that is named, and reads its JSON. */
  ask<T>(path: string, name?: string): Promise<T>;
}

/**
 * Starts `workers` (one at least), each of the same bundled source. Resolves when workerd listens; whoever starts them disposes
 * of them.
 */
export async function startWorkers(
  source: string,
  workers: readonly TestWorkerOptions[],
  shared: { readonly durableObjectsPersist?: string } = {},
): Promise<TestWorkers> {
  const script = bundleForWeb(source);
  const miniflare = new Miniflare({
    ...shared,
    workers: workers.map((worker, index) => ({
      name: `worker-${index}`,
      modules: true,
      script,
      compatibilityDate,
      ...worker,
    })),
  } as ConstructorParameters<typeof Miniflare>[0]);
  const url = await miniflare.ready;
  return {
    url,
    async putKv(namespace, key, value) {
      await asKv(await miniflare.getKVNamespace(namespace)).put(key, value);
    },
    async ask(path, name) {
      const address = `http://worker.test${path}`;
      const response =
        name === undefined
          ? await miniflare.dispatchFetch(address)
          : await asFetcher(await miniflare.getWorker(name)).fetch(address);
      const text = await response.text();
      if (response.status !== 200) throw new Error(`${path} answered ${response.status}: ${text}`);
      return JSON.parse(text);
    },
    [Symbol.asyncDispose]: () => miniflare.dispose(),
  };
}

// Miniflare's own types of these need @cloudflare/workers-types, which would rival the types of Node.
const asKv = (namespace: unknown) => namespace as { put(key: string, value: string): Promise<void> };
const asFetcher = (worker: unknown) => worker as { fetch(url: string): Promise<Response> };
