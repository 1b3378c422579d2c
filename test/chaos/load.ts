// What every client of the chaos suite does, whoever makes the calls: reads the arguments, takes orders, keeps the load and the ledger.

import process from "node:process";
import { parseArgs } from "node:util";
import { seededRandom } from "../support/seeded-random.ts";
import { type ChaosMethod, chaosMethods, openLedger } from "./ledger.ts";
import { numberOf, takeOrders } from "./program.ts";
import { takeSample } from "./sample.ts";

/** What the runner asks of a client: see chaos-client.ts. */
export interface LoadArguments {
  readonly consul: string;
  readonly service: string;
  readonly ledger: string;
  readonly prefix: string;
  readonly mix: readonly ChaosMethod[];
  readonly timeoutMs: number;
  readonly maxDelayMs: number;
  readonly rate: number;
  readonly concurrency: number;
  readonly seed: number;
  /** Folder of a store; "": none. */
  readonly store: string;
  /** Between two looks at Consul; 0: blocking queries. Ours alone. */
  readonly pollMs: number;
  /** More options of our own transport. */
  readonly options: Readonly<Record<string, unknown>>;
}

/** A call to make. */
export interface CallToMake {
  readonly method: ChaosMethod;
  readonly id: string;
  readonly delayMs: number;
  readonly timeoutMs: number;
}

/** How a call ended, as the ledger has it. */
export interface Ending {
  readonly outcome: string;
  readonly fate: string;
  readonly server: string;
  readonly text: string;
}

/** Messages of a stream. */
export const streamLength = 5;

/** Reads the arguments of this process. */
export function readLoadArguments(): LoadArguments {
  const { values } = parseArgs({
    options: {
      consul: { type: "string", default: "http://127.0.0.1:8500" },
      service: { type: "string", default: "chaos" },
      ledger: { type: "string", default: "" },
      prefix: { type: "string", default: "call" },
      mix: { type: "string", default: "plain=4,idempotent=3,safe=1,down=1,up=1,both=1" },
      timeout: { type: "string", default: "10000" },
      delay: { type: "string", default: "4" },
      rate: { type: "string", default: "100" },
      concurrency: { type: "string", default: "0" },
      seed: { type: "string", default: "1" },
      store: { type: "string", default: "" },
      poll: { type: "string", default: "0" },
      options: { type: "string", default: "{}" },
    },
  });
  const { consul, service, ledger, prefix, store } = values;
  return {
    consul,
    service,
    ledger,
    prefix,
    store,
    mix: readMix(values.mix),
    timeoutMs: numberOf(values.timeout, "timeout"),
    maxDelayMs: numberOf(values.delay, "delay"),
    rate: numberOf(values.rate, "rate"),
    concurrency: numberOf(values.concurrency, "concurrency"),
    pollMs: numberOf(values.poll, "poll"),
    seed: numberOf(values.seed, "seed"),
    options: JSON.parse(values.options),
  };
}

/**
 * Two cores that load a dozen programs at once take a second for the first answers of each: calls of its first two seconds have the deadline
 * that a call has that waits for endpoints, however short theirs would be. They must not fail all the same.
 */
const warmUpMs = 2000;
const warmUpTimeoutMs = 10_000;

/** Takes orders and keeps up the load; resolves when it was told to stop and the last call has ended. `make` never rejects. */
export async function keepLoad(args: LoadArguments, make: (call: CallToMake) => Promise<Ending>): Promise<void> {
  const { mix, prefix, maxDelayMs, timeoutMs, rate, concurrency } = args;
  const ledger = openLedger(args.ledger);
  const { random } = seededRandom(args.seed);
  const ended = Promise.withResolvers<void>();
  let calls = 0;
  let active = 0;
  let isStopping = false;
  let begunMs = 0;

  const callOnce = async () => {
    const method = mix[calls % mix.length] ?? "plain";
    const id = `${prefix}-${calls++}`;
    const delayMs = Math.floor(random() * (maxDelayMs + 1));
    active++;
    ledger.write(`sent ${id} ${method} ${Date.now()}`);
    const startMs = performance.now();
    const isCold = startMs - begunMs < warmUpMs;
    const givenMs = isCold ? Math.max(timeoutMs, warmUpTimeoutMs) : timeoutMs;
    const { outcome, fate, server, text } = await make({ method, id, delayMs, timeoutMs: givenMs });
    const tookMs = (performance.now() - startMs).toFixed(1);
    ledger.write(`done ${id} ${outcome} ${fate} ${tookMs} ${server} ${JSON.stringify(text)}`);
    if (--active === 0 && isStopping) ended.resolve();
  };
  const work = async () => {
    while (!isStopping) await callOnce();
  };
  const begin = () => {
    begunMs = performance.now();
    for (let worker = 0; worker < concurrency; worker++) work();
    if (concurrency > 0) return;
    const startMs = performance.now();
    let begun = 0;
    const tick = () => {
      if (isStopping) return;
      const due = Math.floor(((performance.now() - startMs) * rate) / 1000);
      for (; begun < due; begun++) callOnce();
      setTimeout(tick, 5);
    };
    tick();
  };

  takeOrders(([order]) => {
    if (order === "go") begin();
    else if (order === "sample") process.stdout.write(`sample ${JSON.stringify(takeSample())}\n`);
    else if (order === "stop") {
      isStopping = true;
      if (active === 0) ended.resolve();
    }
  });
  process.stdout.write("ready\n");
  await ended.promise;
}

/** Methods in the order in which they take turns: spread as evenly as their shares allow. */
function readMix(text: string): ChaosMethod[] {
  const shares = text.split(",").map((part): [ChaosMethod, number] => {
    const [name = "", share = "1"] = part.split("=");
    const method = chaosMethods.find((known) => known === name);
    if (method === undefined) throw new RangeError(`--mix knows no method "${name}"`);
    return [method, numberOf(share, "mix")];
  });
  const places = shares.flatMap(([method, share]) =>
    Array.from({ length: share }, (_, index) => ({ method, place: (index + 0.5) / share })),
  );
  return places.sort((a, b) => a.place - b.place).map(({ method }) => method);
}
