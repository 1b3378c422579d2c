// Reads JSON as Go's decoder does, with its error texts, which Consul passes on to its callers: numbers keep their spelling,
// and what follows the first value is not looked at. https://pkg.go.dev/encoding/json#Decoder

/** A JSON value before it is given a type. */
export type JsonNode =
  | { readonly type: "object"; readonly entries: readonly (readonly [string, JsonNode])[] }
  | { readonly type: "array"; readonly items: readonly JsonNode[] }
  | { readonly type: "string"; readonly value: string }
  | { readonly type: "number"; readonly text: string }
  | { readonly type: "bool"; readonly value: boolean }
  | { readonly type: "null" };

/** Reads the first JSON value of a text. Throws Error with Go's own text. */
export function parseGoJson(text: string): JsonNode {
  const reader = new Reader(text);
  reader.skipSpace();
  if (reader.atEnd) throw new Error("EOF");
  return reader.value(0);
}

// Go stops at 10000, which is more than the stack holds here. Nothing that Consul takes is nested like that.
const maxDepth = 1000;

const escapes: Readonly<Record<string, string>> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get atEnd(): boolean {
    return this.#at >= this.#text.length;
  }

  skipSpace(): void {
    while (" \t\r\n".includes(this.#text[this.#at] ?? "x")) this.#at++;
  }

  value(depth: number): JsonNode {
    if (depth > maxDepth) throw new Error("exceeded max depth");
    this.skipSpace();
    const char = this.#peek();
    if (char === "{") return this.#object(depth);
    if (char === "[") return this.#array(depth);
    if (char === '"') return { type: "string", value: this.#string() };
    if (char === "t") return this.#literal("true", { type: "bool", value: true });
    if (char === "f") return this.#literal("false", { type: "bool", value: false });
    if (char === "n") return this.#literal("null", { type: "null" });
    if (char === "-" || isDigit(char)) return { type: "number", text: this.#number() };
    throw unexpected(char, "looking for beginning of value");
  }

  #object(depth: number): JsonNode {
    const entries: (readonly [string, JsonNode])[] = [];
    this.#at++;
    this.skipSpace();
    if (this.#peek() === "}") {
      this.#at++;
      return { type: "object", entries };
    }
    for (;;) {
      this.skipSpace();
      if (this.#peek() !== '"') throw unexpected(this.#peek(), "looking for beginning of object key string");
      const key = this.#string();
      this.skipSpace();
      if (this.#next() !== ":") throw unexpected(this.#last, "after object key");
      entries.push([key, this.value(depth + 1)]);
      this.skipSpace();
      const char = this.#next();
      if (char === "}") return { type: "object", entries };
      if (char !== ",") throw unexpected(char, "after object key:value pair");
    }
  }

  #array(depth: number): JsonNode {
    const items: JsonNode[] = [];
    this.#at++;
    this.skipSpace();
    if (this.#peek() === "]") {
      this.#at++;
      return { type: "array", items };
    }
    for (;;) {
      items.push(this.value(depth + 1));
      this.skipSpace();
      const char = this.#next();
      if (char === "]") return { type: "array", items };
      if (char !== ",") throw unexpected(char, "after array element");
    }
  }

  #string(): string {
    let value = "";
    this.#at++;
    for (;;) {
      const char = this.#next();
      if (char === '"') return value;
      if (char < " ") throw unexpected(char, "in string literal");
      value += char === "\\" ? this.#escape() : char;
    }
  }

  #escape(): string {
    const char = this.#next();
    if (char === "u") {
      let hex = "";
      while (hex.length < 4) {
        const digit = this.#next();
        if (!/[0-9a-fA-F]/.test(digit)) throw unexpected(digit, "in \\u hexadecimal character escape");
        hex += digit;
      }
      return String.fromCharCode(Number.parseInt(hex, 16));
    }
    const escaped = Object.hasOwn(escapes, char) ? escapes[char] : undefined;
    if (escaped === undefined) throw unexpected(char, "in string escape code");
    return escaped;
  }

  #literal(word: string, node: JsonNode): JsonNode {
    for (const expected of word) {
      const char = this.#next();
      if (char !== expected) throw unexpected(char, `in literal ${word} (expecting '${expected}')`);
    }
    return node;
  }

  #number(): string {
    const start = this.#at;
    if (this.#peek() === "-") this.#at++;
    if (this.#peek() === "0") this.#at++;
    else this.#digits("in numeric literal");
    if (this.#text[this.#at] === ".") {
      this.#at++;
      this.#digits("after decimal point in numeric literal");
    }
    if (/^[eE]$/.test(this.#text[this.#at] ?? "")) {
      this.#at++;
      if (/^[+-]$/.test(this.#peek())) this.#at++;
      this.#digits("in exponent of numeric literal");
    }
    return this.#text.slice(start, this.#at);
  }

  #digits(where: string): void {
    if (!isDigit(this.#peek())) throw unexpected(this.#peek(), where);
    while (isDigit(this.#text[this.#at] ?? "")) this.#at++;
  }

  #peek(): string {
    const char = this.#text[this.#at];
    if (char === undefined) throw new Error("unexpected EOF");
    return char;
  }

  #next(): string {
    const char = this.#peek();
    this.#at++;
    return char;
  }

  get #last(): string {
    return this.#text[this.#at - 1] ?? "";
  }
}

function isDigit(char: string): boolean {
  return char >= "0" && char <= "9" && char.length === 1;
}

function unexpected(char: string, where: string): Error {
  const code = char.charCodeAt(0);
  const shown = char === "'" ? "\\'" : code < 32 ? `\\x${code.toString(16).padStart(2, "0")}` : char;
  return new Error(`invalid character '${shown}' ${where}`);
}
