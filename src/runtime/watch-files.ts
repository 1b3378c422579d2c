// Files that are replaced while the program runs: certificates, keys, tokens. Reads them again when somebody asks for what they hold, so that
// it needs no timer and holds no process alive. Knows nothing of what is in them.

import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { type Clock, systemClock } from "../core/clock.ts";

/** How files are watched. Times in milliseconds. */
export interface WatchFilesOptions<T> {
  /** How long what was read last is taken without a look at the files, at least 0. Default 1000. */
  readonly everyMs?: number;
  /** Called when the files hold something else that can be used, from within `current`. Must not throw. */
  readonly onChange?: (value: T) => void;
  /**
   * Called from within `current` where the files cannot be used, which then gives what they held before: once for each state that they
   * are in, and only where they stayed in it from one look to the next, as those who write two files are between them for a moment. Must
   * not throw.
   */
  readonly onTrouble?: (error: unknown) => void;
  readonly clock?: Clock;
}

/** Files under watch. There is nothing to close. */
export interface WatchedFiles<T> {
  /**
   * What the files last held that could be used: the same value until they hold something else. Where the last look is older than
   * `everyMs`, this looks at them, which blocks for as long as it takes to read them. Never throws.
   */
  readonly current: T;
}

/**
 * Reads files, and again when they have changed. Reads all of them each time: the times of files have their grain, and a path may be a
 * symbolic link that is switched over, as those that Kubernetes mounts and Vault's agent and cert-manager renew. So nothing depends on how
 * they are replaced. A path that names a folder stands for all files in it, in the order of their names and joined by line ends, but for
 * those that begin with two dots, which are Kubernetes' own.
 *
 * `parse` makes a value of the texts, by the names that the paths were given; it throws where they cannot be used. This throws what
 * reading and `parse` throw the first time; later ones are for `onTrouble`.
 */
export function watchFiles<K extends string, T>(
  paths: Readonly<Record<K, string>>,
  parse: (texts: Readonly<Record<K, string>>) => T,
  options: WatchFilesOptions<T> = {},
): WatchedFiles<T> {
  const { everyMs = 1000, onChange, onTrouble, clock = systemClock } = options;
  if (!(everyMs >= 0)) throw new RangeError(`Cannot watch files as "everyMs" must be >= 0: received ${everyMs}`);
  const first = readAll(paths);
  let current = parse(first);
  /** Of what the value was made. */
  let known = fingerprint(first);
  /** State of the files that was found to be of no use, and whether that was told. */
  let trouble: { readonly state: string; isTold: boolean } | undefined;
  let lookedAtMs = clock.now();

  const fail = (state: string, error: unknown): void => {
    if (trouble?.state !== state) {
      trouble = { state, isTold: false };
    } else if (!trouble.isTold) {
      trouble.isTold = true;
      onTrouble?.(error);
    }
  };
  const look = (): void => {
    let texts: Readonly<Record<K, string>>;
    try {
      texts = readAll(paths);
    } catch (error) {
      fail(`unreadable: ${error}`, error);
      return;
    }
    const state = fingerprint(texts);
    if (state === known) {
      trouble = undefined;
      return;
    }
    try {
      current = parse(texts);
    } catch (error) {
      fail(state, error);
      return;
    }
    known = state;
    trouble = undefined;
    onChange?.(current);
  };
  return {
    get current() {
      const nowMs = clock.now();
      if (nowMs - lookedAtMs >= everyMs) {
        lookedAtMs = nowMs;
        look();
      }
      return current;
    },
  };
}

function readAll<K extends string>(paths: Readonly<Record<K, string>>): Readonly<Record<K, string>> {
  const texts = {} as Record<K, string>;
  for (const name of Object.keys(paths) as K[]) texts[name] = readPath(paths[name]);
  return texts;
}

function readPath(path: string): string {
  if (!statSync(path).isDirectory()) return readFileSync(path, "utf8");
  return readdirSync(path)
    .filter((name) => !name.startsWith(".."))
    .sort()
    .map((name) => join(path, name))
    .filter((file) => statSync(file).isFile())
    .map((file) => readFileSync(file, "utf8"))
    .join("\n");
}

function fingerprint(texts: Readonly<Record<string, string>>): string {
  return JSON.stringify(texts);
}
