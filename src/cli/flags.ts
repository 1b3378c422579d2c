// The kinds of flags a command may have. A table of them is the one source for parsing, validation and the help text.
// Knows no command, reads no environment: command-line.ts does.

import { maxTimerMs } from "../core/clock.ts";
import { formatDuration, parseDuration } from "../core/duration.ts";

/** One flag of a command. */
export interface Flag<V> {
  /** What stands for the value in the help text; absent for a switch, which takes none. */
  readonly placeholder?: string;
  /** One letter that stands for the flag after a single dash. */
  readonly short?: string;
  /** What it does, for the help text. Says nothing of default and variable: they are added. */
  readonly help: string;
  /** Environment variable read where the flag is not given. */
  readonly env?: string;
  /** The default in words, for the help text. */
  readonly defaultText?: string;
  /** May be given more than once. */
  readonly repeatable: boolean;
  /** The value where neither flag nor variable is given. */
  readonly fallback: V;
  /** The value of these texts: one, or more where repeatable, none for a switch. Throws `Refusal`. */
  read(texts: readonly string[]): V;
}

/** The flags of a command, by their names without dashes. */
export type FlagTable = Readonly<Record<string, Flag<unknown>>>;

/** What a table's flags yield. */
export type FlagValues<F extends FlagTable> = { readonly [Name in keyof F]: F[Name] extends Flag<infer V> ? V : never };

/** Why a flag refuses a text: a rule that begins with "must", and the text. */
export class Refusal extends Error {
  override readonly name = "Refusal";

  constructor(rule: string, received: string) {
    super(`${rule}: received ${JSON.stringify(received)}`);
  }
}

interface Wording {
  readonly placeholder?: string;
  readonly short?: string;
  readonly help: string;
  readonly env?: string;
  readonly defaultText?: string;
}

interface FlagKinds {
  /** Any text but an empty one. */
  text<D extends string | undefined = undefined>(spec: Wording & { readonly default?: D }): Flag<string | D>;
  /** A whole number within limits. `default` is not checked against them. */
  count<D extends number | undefined = undefined>(
    spec: Wording & { readonly min: number; readonly max: number; readonly default?: D },
  ): Flag<number | D>;
  /** A duration as Consul writes them, in milliseconds. `default` is a text of the same kind. */
  duration(spec: Wording & { readonly minMs: number; readonly maxMs?: number; readonly default: string }): Flag<number>;
  /** The same without a default. */
  optionalDuration(spec: Wording & { readonly minMs: number; readonly maxMs?: number }): Flag<number | undefined>;
  /** One of a few words, which are in lower case; any case is taken. */
  choice<const C extends string>(spec: Wording & { readonly of: readonly C[]; readonly default: NoInfer<C> }): Flag<C>;
  /** Texts, one for each time the flag is given. Empty by default. */
  list(spec: Wording): Flag<readonly string[]>;
  /** `key=value` texts, one for each time the flag is given. A key may come once. */
  pairs(spec: Wording): Flag<Readonly<Record<string, string>>>;
  /** Given or not. */
  toggle(spec: Wording): Flag<boolean>;
}

/** Makes flags. Each wants its help; `env` and `short` where it has them. */
export const flag: FlagKinds = {
  text<D extends string | undefined = undefined>(spec: Wording & { readonly default?: D }): Flag<string | D> {
    return single<string | D>(spec, spec.default as D, spec.default, (text) => {
      if (text === "") throw new Refusal("must not be empty", text);
      return text;
    });
  },

  count<D extends number | undefined = undefined>(
    spec: Wording & { readonly min: number; readonly max: number; readonly default?: D },
  ): Flag<number | D> {
    return single<number | D>(spec, spec.default as D, spec.default?.toString(), (text) => {
      const value = /^[0-9]{1,15}$/.test(text) ? Number(text) : Number.NaN;
      if (!(value >= spec.min && value <= spec.max)) {
        throw new Refusal(`must be a whole number from ${spec.min} to ${spec.max}`, text);
      }
      return value;
    });
  },

  duration(spec) {
    return single(spec, parseDuration(spec.default), spec.default, (text) => readDuration(text, spec));
  },

  optionalDuration(spec) {
    return single<number | undefined>(spec, undefined, undefined, (text) => readDuration(text, spec));
  },

  choice<const C extends string>(spec: Wording & { readonly of: readonly C[]; readonly default: NoInfer<C> }): Flag<C> {
    return single<C>({ placeholder: spec.of.join("|"), ...spec }, spec.default, spec.default, (text) => {
      // LOG_LEVEL=INFO is as common as info.
      const value = spec.of.find((word) => word === text.toLowerCase());
      if (value === undefined) throw new Refusal(`must be one of ${spec.of.join(", ")}`, text);
      return value;
    });
  },

  list(spec) {
    return {
      ...spec,
      repeatable: true,
      fallback: [],
      read(texts) {
        for (const text of texts) if (text === "") throw new Refusal("must not be empty", text);
        return texts;
      },
    };
  },

  pairs(spec) {
    return {
      ...spec,
      repeatable: true,
      fallback: {},
      read(texts) {
        // Own keys only: a key such as __proto__ stays a key.
        const pairs = new Map<string, string>();
        for (const text of texts) {
          const [, key, value] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
          if (key === undefined || value === undefined) throw new Refusal("must be written KEY=VALUE", text);
          if (pairs.has(key)) throw new Refusal("must not name a key twice", text);
          pairs.set(key, value);
        }
        return Object.fromEntries(pairs);
      },
    };
  },

  toggle(spec) {
    return { ...spec, repeatable: true, fallback: false, read: () => true };
  },
};

function single<V>(spec: Wording, fallback: V, defaultText: string | undefined, read: (text: string) => V): Flag<V> {
  const shown = spec.defaultText ?? defaultText;
  return {
    ...(spec.placeholder === undefined ? {} : { placeholder: spec.placeholder }),
    ...(spec.short === undefined ? {} : { short: spec.short }),
    ...(spec.env === undefined ? {} : { env: spec.env }),
    ...(shown === undefined ? {} : { defaultText: shown }),
    help: spec.help,
    repeatable: false,
    fallback,
    // Of several the last counts, so that a script's flags can be overridden by appending.
    read: (texts) => read(texts.at(-1) ?? ""),
  };
}

function readDuration(text: string, limits: { readonly minMs: number; readonly maxMs?: number }): number {
  const { minMs, maxMs = maxTimerMs } = limits;
  let durationMs: number;
  try {
    durationMs = parseDuration(text);
  } catch {
    throw new Refusal("must be a duration with its unit, like 500ms, 20s or 1m30s", text);
  }
  const wholeMs = Math.round(durationMs);
  // 1.1s is 1100.0000000000002 in floating point; 1500us is a real fraction.
  if (Math.abs(durationMs - wholeMs) > 1e-6) throw new Refusal("must be whole milliseconds", text);
  if (wholeMs < minMs) throw new Refusal(`must be at least ${formatDuration(minMs)}`, text);
  if (wholeMs > maxMs) throw new Refusal(`must be at most ${formatDuration(maxMs)}`, text);
  return wholeMs;
}
