// Reads the fields of a JSON object as protobuf's JSON has them, and notes all that is wrong, with its place. Knows no field of a service
// config. https://protobuf.dev/programming-guides/json/

import { Code } from "@connectrpc/connect";
import { maxTimerMs } from "../../core/clock.ts";
import { isObject, type JsonObject } from "../../core/json-shape.ts";
import { nearestName } from "./nearest-name.ts";
import type { ServiceConfigProblem } from "./service-config-error.ts";

/** What is found while a config is read. */
export interface Findings {
  readonly problems: ServiceConfigProblem[];
  readonly warnings: string[];
}

/** Which numbers a field takes. */
export interface NumberBounds {
  readonly min?: number;
  readonly max?: number;
  /** `min` itself is too little. */
  readonly aboveMin?: boolean;
  readonly isRequired?: boolean;
}

/** The canonical codes by their number, from 1: https://github.com/grpc/grpc/blob/master/doc/statuscodes.md */
const codeNames: readonly string[] = [
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
];

/** An object of the config. A field that is wrong is noted and reads as one that is absent; so does null, without a note. */
export class ConfigObject {
  readonly path: string;
  readonly #fields: JsonObject;
  readonly #findings: Findings;

  /** `known`: the names that a reader may ask for; others are warned of. */
  constructor(fields: JsonObject, path: string, known: readonly string[] | undefined, findings: Findings) {
    this.path = path;
    this.#fields = fields;
    this.#findings = findings;
    if (known === undefined) return;
    for (const name of Object.keys(fields)) {
      if (known.includes(name)) continue;
      const nearest = nearestName(name, known);
      const hint = nearest === undefined ? "" : `: did you mean "${nearest}"?`;
      findings.warnings.push(`${this.pathOf(shorten(name))} is not known and is ignored${hint}`);
    }
  }

  pathOf(name: string): string {
    return this.path === "" ? name : `${this.path}.${name}`;
  }

  has(name: string): boolean {
    return this.#value(name) !== undefined;
  }

  boolean(name: string): boolean | undefined {
    const value = this.#value(name);
    if (value === undefined || typeof value === "boolean") return value;
    return this.#refuse(name, "true or false", value);
  }

  string(name: string): string | undefined {
    const value = this.#value(name);
    if (value === undefined || typeof value === "string") return value;
    return this.#refuse(name, "a string", value);
  }

  /** A whole number, at least 0 and below 2^32 whatever the bounds. */
  integer(name: string, bounds: NumberBounds = {}): number | undefined {
    const { min = 0, max = 0xffff_ffff, isRequired = false } = bounds;
    const value = this.#value(name);
    const range = bounds.max === undefined ? `from ${min}` : `from ${min} to ${max}`;
    const number = numberOf(value);
    if (number !== undefined && Number.isInteger(number) && number >= min && number <= max) return number;
    if (value === undefined && !isRequired) return undefined;
    return this.#refuse(name, `an integer ${range}`, value);
  }

  /** A number above 0. */
  positive(name: string): number | undefined {
    const value = this.#value(name);
    const number = numberOf(value);
    if (number !== undefined && number > 0) return number;
    return this.#refuse(name, "a number > 0", value);
  }

  /** A duration in milliseconds, no longer than timers can wait. */
  durationMs(name: string, bounds: Pick<NumberBounds, "aboveMin" | "isRequired"> = {}): number | undefined {
    const value = this.#value(name);
    if (value === undefined && bounds.isRequired !== true) return undefined;
    const durationMs = readDuration(value);
    if (durationMs !== undefined && (durationMs > 0 || bounds.aboveMin !== true)) return durationMs;
    return this.#refuse(name, `a duration ${bounds.aboveMin ? "> 0 " : ""}in seconds like "1.5s"`, value);
  }

  /** A list of codes; undefined where it is absent, or has what is none. */
  codes(name: string): ReadonlySet<Code> | undefined {
    const list = this.list(name);
    if (list === undefined) return undefined;
    const codes = new Set<Code>();
    for (const [at, value] of list.entries()) {
      const code = codeOf(value);
      if (code !== undefined) codes.add(code);
      else this.#refuse(`${name}[${at}]`, `the name of a gRPC code but OK, or its number${codeHint(value)}`, value);
    }
    return codes.size === 0 && list.length > 0 ? undefined : codes;
  }

  list(name: string): readonly unknown[] | undefined {
    const value = this.#value(name);
    if (value === undefined || Array.isArray(value)) return value;
    return this.#refuse(name, "a list", value);
  }

  object(name: string, known: readonly string[]): ConfigObject | undefined {
    const value = this.#value(name);
    if (value === undefined) return undefined;
    if (isObject(value)) return new ConfigObject(value, this.pathOf(name), known, this.#findings);
    return this.#refuse(name, "an object", value);
  }

  /** The elements of a list that are objects, each with its place; `known` as in the constructor. */
  objects(name: string, known: readonly string[] | undefined): readonly ConfigObject[] | undefined {
    const list = this.list(name);
    if (list === undefined) return undefined;
    const objects: ConfigObject[] = [];
    for (const [at, value] of list.entries()) {
      const place = `${name}[${at}]`;
      if (isObject(value)) objects.push(new ConfigObject(value, this.pathOf(place), known, this.#findings));
      else this.#refuse(place, "an object", value);
    }
    return objects;
  }

  /** The names of the fields that are there. */
  names(): readonly string[] {
    return Object.keys(this.#fields).filter((name) => this.has(name));
  }

  /** Notes that the field, or with "" the object itself, cannot be used. */
  problem(name: string, text: string): void {
    this.#findings.problems.push({ path: name === "" ? this.path : this.pathOf(name), text });
  }

  warn(name: string, text: string): void {
    this.#findings.warnings.push(`${name === "" ? this.path : this.pathOf(name)} ${text}`);
  }

  #value(name: string): unknown {
    return Object.hasOwn(this.#fields, name) ? (this.#fields[name] ?? undefined) : undefined;
  }

  #refuse(name: string, expected: string, value: unknown): undefined {
    this.problem(name, `must be ${expected}: received ${shown(value)}`);
    return undefined;
  }
}

/** What a message shows of a value: numbers, booleans and short strings as they are. */
export function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "string") return JSON.stringify(shorten(value));
  if (value === null || typeof value === "number" || typeof value === "boolean") return String(value);
  return Array.isArray(value) ? "a list" : typeof value === "object" ? "an object" : typeof value;
}

function shorten(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

/** Protobuf's JSON takes numbers as strings, too. */
function numberOf(value: unknown): number | undefined {
  if (typeof value === "string" && /^-?\d{1,20}(\.\d{1,20})?$/.test(value)) return Number(value);
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

/** Digits may be missing before the point, as in the examples of gRFC A6. */
function readDuration(value: unknown): number | undefined {
  if (typeof value !== "string" || !/^(\d{1,12}(\.\d{1,9})?|\.\d{1,9})s$/.test(value)) return undefined;
  // Not times 1000, which would not be exact.
  return Math.min(Number(`${value.slice(0, -1)}e3`), maxTimerMs);
}

function codeOf(value: unknown): Code | undefined {
  if (typeof value === "number") return value in Code ? value : undefined;
  if (typeof value !== "string") return undefined;
  const name = value.toUpperCase();
  // Connect writes it with one L.
  const at = codeNames.indexOf(name === "CANCELED" ? "CANCELLED" : name);
  return at === -1 ? undefined : at + 1;
}

function codeHint(value: unknown): string {
  const nearest = typeof value === "string" ? nearestName(value, codeNames) : undefined;
  return nearest === undefined ? "" : ` (did you mean "${nearest}"?)`;
}
