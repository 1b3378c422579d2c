// Small guards for parsed JSON, whoever sent it. They look at what the reader relies on; other fields pass through unread.

/** A JSON object. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Whether the value is an object and no array. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether the value is an array whose elements all pass. */
export function isArrayOf<T>(isElement: (value: unknown) => value is T): (value: unknown) => value is T[] {
  return (value): value is T[] => Array.isArray(value) && value.every(isElement);
}

/** Whether the value is an object whose values all pass. */
export function isRecordOf<T>(isValue: (value: unknown) => value is T): (value: unknown) => value is Record<string, T> {
  return (value): value is Record<string, T> => isObject(value) && Object.values(value).every(isValue);
}

/** Whether the value is a string. */
export function isString(value: unknown): value is string {
  return typeof value === "string";
}

/** Whether the value is a boolean. */
export function isBoolean(value: unknown): value is boolean {
  return typeof value === "boolean";
}
