// Evaluates filter expressions over what the agent is about to answer. Selectors that do not exist are errors, as in Consul.

import { type FilterExpression, type FilterOperator, parseFilter } from "./filter-parser.ts";
import { ReplyError } from "./reply.ts";

/** What a selector may name: the type of a field, the fields of an object, or the items of a list. */
export type FilterType =
  | "string"
  | "int"
  | "bool"
  | { readonly fields: Readonly<Record<string, FilterType>> }
  | { readonly map: FilterType }
  | { readonly list: FilterType };

type Match = Extract<FilterExpression, { readonly type: "match" }>;

/**
 * Keeps the values for which an expression holds; "" keeps all. Throws ReplyError 500, as Consul does, on an expression that
 * is wrong or that the embedded agent cannot evaluate.
 */
export function applyFilter<T>(values: readonly T[], expression: string, type: FilterType): readonly T[] {
  if (expression === "") return values;
  let parsed: FilterExpression;
  try {
    parsed = parseFilter(expression);
    check(parsed, type);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new ReplyError(500, `Failed to create boolean expression evaluator: ${text}`);
  }
  return values.filter((value) => holds(parsed, value));
}

const operatorNames: Readonly<Record<FilterOperator, string>> = {
  "==": "Equal",
  "!=": "Not Equal",
  in: "In",
  "not in": "Not In",
  "is empty": "Is Empty",
  "is not empty": "Is Not Empty",
};

/** Whether an expression fits the type, before any value is looked at. */
function check(expression: FilterExpression, type: FilterType): void {
  if (expression.type === "not") check(expression.operand, type);
  else if (expression.type !== "match") {
    check(expression.left, type);
    check(expression.right, type);
  } else checkMatch(expression, type);
}

function checkMatch({ selector, operator, value }: Match, root: FilterType): void {
  let type = root;
  const seen: string[] = [];
  for (const name of selector) {
    seen.push(name);
    if (typeof type === "object" && "list" in type) type = type.list;
    const next = memberType(type, name);
    if (next === undefined) throw new Error(`Selector "${seen.join(".")}" is not valid`);
    type = next;
  }
  const where = selector.join(".");
  if (!operatorsOf(type).includes(operator)) {
    throw new Error(`Invalid match operator "${operatorNames[operator]}" for selector "${where}"`);
  }
  const fault = valueFault(type, value);
  if (fault !== undefined) throw new Error(`Failed to coerce value "${value}" for selector "${where}": ${fault}`);
}

function memberType(type: FilterType, name: string): FilterType | undefined {
  if (typeof type === "string" || "list" in type) return undefined;
  if ("map" in type) return type.map;
  return Object.hasOwn(type.fields, name) ? type.fields[name] : undefined;
}

function operatorsOf(type: FilterType): readonly FilterOperator[] {
  if (type === "string") return ["==", "!=", "in", "not in"];
  if (typeof type === "string") return ["==", "!="];
  if ("fields" in type) return [];
  if ("list" in type && type.list !== "string") return ["is empty", "is not empty"];
  return ["in", "not in", "is empty", "is not empty"];
}

function valueFault(type: FilterType, value: string): string | undefined {
  if (type === "int" && !/^-?[0-9]+$/.test(value)) return `strconv.ParseInt: parsing "${value}": invalid syntax`;
  if (type === "bool" && !/^(?:1|t|T|TRUE|true|True|0|f|F|FALSE|false|False)$/.test(value)) {
    return `strconv.ParseBool: parsing "${value}": invalid syntax`;
  }
  return undefined;
}

function holds(expression: FilterExpression, value: unknown): boolean {
  switch (expression.type) {
    case "and":
      return holds(expression.left, value) && holds(expression.right, value);
    case "or":
      return holds(expression.left, value) || holds(expression.right, value);
    case "not":
      return !holds(expression.operand, value);
    case "match":
      return matches(expression, select(value, expression.selector));
  }
}

/** Values that a selector names: none where a map lacks the key, several where a list lies on the way. */
function select(root: unknown, selector: readonly string[]): readonly unknown[] {
  let values: readonly unknown[] = [root];
  for (const name of selector) {
    values = values
      .flatMap((value) => (Array.isArray(value) ? value : [value]))
      .filter((value) => typeof value === "object" && value !== null && Object.hasOwn(value, name))
      .map((value) => (value as Readonly<Record<string, unknown>>)[name]);
  }
  return values;
}

function matches({ operator, value }: Match, selected: readonly unknown[]): boolean {
  if (selected.length === 0) return operator === "!=" || operator === "not in" || operator === "is empty";
  return selected.some((found) => {
    switch (operator) {
      case "==":
        return isEqual(found, value);
      case "!=":
        return !isEqual(found, value);
      case "in":
        return includes(found, value);
      case "not in":
        return !includes(found, value);
      case "is empty":
        return sizeOf(found) === 0;
      case "is not empty":
        return sizeOf(found) > 0;
    }
    return operator satisfies never;
  });
}

function isEqual(found: unknown, value: string): boolean {
  if (typeof found === "number") return found === Number(value);
  if (typeof found === "boolean") return found === /^(?:1|t)/i.test(value);
  return found === value;
}

function includes(found: unknown, value: string): boolean {
  if (typeof found === "string" || Array.isArray(found)) return found.includes(value);
  return typeof found === "object" && found !== null && Object.hasOwn(found, value);
}

function sizeOf(found: unknown): number {
  if (Array.isArray(found)) return found.length;
  return typeof found === "object" && found !== null ? Object.keys(found).length : 0;
}
