// A call's metadata between Headers and the fields of HTTP/2. Checks what goes out; what came in, HTTP/2 has checked.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests

import { Code, ConnectError } from "@connectrpc/connect";
import { connectionFields } from "../http2/field-rules.ts";

/** Of the way up from HTTP/1.1, which RFC 9113, section 3.1, has done away with; some refuse it still. */
const upgradeField = "http2-settings";

/**
 * Names in lower case and values in turn; undefined where there are none. Throws ConnectError, `invalid_argument`, for what HTTP/2 does
 * not carry: names that are no tokens or belong to HTTP/1.1's connections, values beyond printable ASCII;
 * nor gRPC: `-bin` fields that are not in base64.
 */
export function toFields(init: HeadersInit | undefined): string[] | undefined {
  if (init === undefined || init === null) return undefined;
  const fields: string[] = [];
  if (init instanceof Headers) {
    // Deno 2.9.6 takes five times as long to iterate.
    init.forEach((value, name) => {
      add(fields, name, value);
    });
  } else if (Symbol.iterator in init) {
    for (const [name, value] of init as Iterable<readonly string[]>) add(fields, name ?? "", value ?? "");
  } else {
    for (const name of Object.keys(init)) add(fields, name, init[name] ?? "");
  }
  return fields.length === 0 ? undefined : fields;
}

/** Whether HTTP/2 forbids a field of this name (in lower case). */
export function isConnectionField(name: string): boolean {
  return connectionFields.has(name) || name === upgradeField;
}

/** Everything but the pseudo-fields (`:status` and the like). Fields of one name are joined, as Headers does. */
export function toHeaders(fields: readonly string[]): Headers {
  const headers = new Headers();
  appendFields(headers, fields);
  return headers;
}

/** As `toHeaders`, into Headers that are there already. */
export function appendFields(headers: Headers, fields: readonly string[]): void {
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const name = fields[index] ?? "";
    if (name.charCodeAt(0) !== 58) headers.append(name, fields[index + 1] ?? "");
  }
}

/** Bytes of a list of fields as RFC 9113, section 6.5.2, counts them. */
export function fieldBytes(fields: readonly string[]): number {
  let bytes = fields.length * 16;
  for (const text of fields) bytes += text.length;
  return bytes;
}

function add(fields: string[], name: string, value: string): void {
  const lower = lowerName(name);
  if (isConnectionField(lower)) {
    throw invalid(`Cannot send the header "${lower}" as it belongs to HTTP/1.1's connections`);
  }
  fields.push(lower, checkedValue(lower, value));
}

/** The name in lower case: RFC 9113, section 8.2, and RFC 9110, section 5.6.2 (token). */
function lowerName(name: string): string {
  let isLower = true;
  for (let at = 0; at < name.length; at++) {
    const code = name.charCodeAt(at);
    if ((code >= 97 && code <= 122) || code === 45 || (code >= 48 && code <= 57)) continue;
    isLower = false;
    break;
  }
  if (isLower && name.length > 0) return name;
  if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name)) {
    throw invalid(`Cannot send a header as its name is no token: received ${JSON.stringify(name)}`);
  }
  return name.toLowerCase();
}

/** The value without space at its ends, as Headers has it. The error never holds the value: it may be a secret. */
function checkedValue(name: string, value: unknown): string {
  let text = typeof value === "string" ? value : String(value);
  if (isSpace(text.charCodeAt(0)) || isSpace(text.charCodeAt(text.length - 1))) {
    text = text.replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, "");
  }
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code >= 32 && code <= 126) continue;
    throw invalid(`Cannot send the header "${name}" as its value must be printable ASCII: bytes go in a -bin header`);
  }
  if (name.endsWith("-bin") && !text.split(",").every((one) => isBase64(one.trim()))) {
    throw invalid(`Cannot send the header "${name}" as its value must be base64: see encodeBinaryHeader() of Connect`);
  }
  return text;
}

/** RFC 4648, section 4, with padding or without. */
function isBase64(text: string): boolean {
  const digits = text.replace(/={1,2}$/, "");
  const isWhole = digits.length === text.length ? digits.length % 4 !== 1 : text.length % 4 === 0;
  return isWhole && !/[^A-Za-z0-9+/]/.test(digits);
}

function isSpace(code: number): boolean {
  return code === 32 || code === 9 || code === 10 || code === 13;
}

function invalid(message: string): ConnectError {
  return new ConnectError(message, Code.InvalidArgument);
}
