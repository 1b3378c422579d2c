// Parses filter expressions, as far as the embedded agent knows them: `Service.Meta.version == "2" and "v2" in Service.Tags`.
// https://developer.hashicorp.com/consul/api-docs/features/filtering. Throws on all else, never skips it.

/** How a selector is compared. Values on either side of `in` and `contains` are the same operator. */
export type FilterOperator = "==" | "!=" | "in" | "not in" | "is empty" | "is not empty";

/** A parsed filter expression. */
export type FilterExpression =
  | { readonly type: "and" | "or"; readonly left: FilterExpression; readonly right: FilterExpression }
  | { readonly type: "not"; readonly operand: FilterExpression }
  | {
      readonly type: "match";
      readonly selector: readonly string[];
      readonly operator: FilterOperator;
      readonly value: string;
    };

interface Token {
  readonly kind: "word" | "text" | "symbol" | "end";
  readonly text: string;
  /** Offset in the expression. */
  readonly at: number;
  /** Whether white space stands before it; a dot or bracket of a selector has none. */
  readonly isSpaced: boolean;
}

/** Reads a filter expression. Throws Error that says where it does not understand. */
export function parseFilter(expression: string): FilterExpression {
  const parser = new Parser(tokenize(expression));
  const result = parser.or();
  parser.end();
  return result;
}

// Strings are "..." without escapes or `...`; words hold selectors' parts, keywords, numbers and bare values.
const tokenPattern = /(\s*)(?:"([^"\\]*)"|`([^`]*)`|([A-Za-z][A-Za-z0-9_/-]*|-?[0-9]+(?:\.[0-9]+)?)|(==|!=|[().[\]]))/y;

function tokenize(expression: string): readonly Token[] {
  const tokens: Token[] = [];
  tokenPattern.lastIndex = 0;
  let at = 0;
  while (expression.slice(at).trim() !== "") {
    tokenPattern.lastIndex = at;
    const match = tokenPattern.exec(expression);
    if (match === null) throw noMatch(at + (/^\s*/.exec(expression.slice(at))?.[0].length ?? 0));
    const [, space = "", quoted, raw, word, symbol] = match;
    const text = quoted ?? raw ?? word ?? symbol ?? "";
    const kind = word !== undefined ? "word" : symbol !== undefined ? "symbol" : "text";
    tokens.push({ kind, text, at: at + space.length, isSpaced: space !== "" });
    at = tokenPattern.lastIndex;
  }
  tokens.push({ kind: "end", text: "", at: expression.length, isSpaced: true });
  return tokens;
}

class Parser {
  readonly #tokens: readonly Token[];
  #next = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  or(): FilterExpression {
    const left = this.#and();
    return this.#takeWord("or") ? { type: "or", left, right: this.or() } : left;
  }

  end(): void {
    if (this.#token.kind !== "end") throw noMatch(this.#token.at);
  }

  #and(): FilterExpression {
    const left = this.#not();
    return this.#takeWord("and") ? { type: "and", left, right: this.#and() } : left;
  }

  #not(): FilterExpression {
    if (this.#takeWord("not")) return { type: "not", operand: this.#not() };
    if (this.#takeSymbol("(")) {
      const inner = this.or();
      if (!this.#takeSymbol(")")) throw noMatch(this.#token.at);
      return inner;
    }
    return this.#match();
  }

  #match(): FilterExpression {
    const start = this.#next;
    const value = this.#takeValue();
    // `value in selector` or `value not in selector`; a bare value and a selector begin alike.
    const isNegative = this.#isWord("not") && this.#isWord("in", 1);
    if (value !== undefined && (isNegative || this.#isWord("in"))) {
      this.#next += isNegative ? 2 : 1;
      return { type: "match", selector: this.#selector(), operator: isNegative ? "not in" : "in", value };
    }
    this.#next = start;
    const selector = this.#selector();
    if (this.#takeSymbol("==")) return { type: "match", selector, operator: "==", value: this.#value() };
    if (this.#takeSymbol("!=")) return { type: "match", selector, operator: "!=", value: this.#value() };
    if (this.#takeWord("is")) {
      const operator = this.#takeWord("not") ? "is not empty" : "is empty";
      if (!this.#takeWord("empty")) throw noMatch(this.#token.at);
      return { type: "match", selector, operator, value: "" };
    }
    const operator = this.#takeWord("not") ? "not in" : "in";
    if (this.#takeWord("contains")) return { type: "match", selector, operator, value: this.#value() };
    if (this.#isWord("matches")) throw new Error('the embedded agent cannot evaluate "matches"');
    throw noMatch(this.#token.at);
  }

  #selector(): readonly string[] {
    const first = this.#token;
    if (first.kind !== "word" || !/^[A-Za-z]/.test(first.text)) throw noMatch(first.at);
    this.#next++;
    const path = [first.text];
    for (;;) {
      if (this.#token.isSpaced) return path;
      if (this.#takeSymbol(".")) {
        const part = this.#token;
        if (part.kind !== "word" || !/^[A-Za-z]/.test(part.text)) throw noMatch(part.at);
        path.push(part.text);
        this.#next++;
      } else if (this.#takeSymbol("[")) {
        const part = this.#token;
        if (part.kind !== "text") throw noMatch(part.at);
        path.push(part.text);
        this.#next++;
        if (!this.#takeSymbol("]")) throw noMatch(this.#token.at);
      } else return path;
    }
  }

  #value(): string {
    const value = this.#takeValue();
    if (value === undefined) throw noMatch(this.#token.at);
    return value;
  }

  #takeValue(): string | undefined {
    const { kind, text } = this.#token;
    if (kind !== "word" && kind !== "text") return undefined;
    this.#next++;
    return text;
  }

  #isWord(text: string, ahead = 0): boolean {
    const token = this.#tokens[this.#next + ahead];
    return token?.kind === "word" && token.text === text;
  }

  #takeWord(text: string): boolean {
    const isNext = this.#isWord(text);
    if (isNext) this.#next++;
    return isNext;
  }

  #takeSymbol(text: string): boolean {
    const isNext = this.#token.kind === "symbol" && this.#token.text === text;
    if (isNext) this.#next++;
    return isNext;
  }

  get #token(): Token {
    // The last token is "end" and is never passed.
    return this.#tokens[this.#next] ?? { kind: "end", text: "", at: 0, isSpaced: true };
  }
}

/** Consul's own form, without its list of what was expected. */
function noMatch(at: number): Error {
  return new Error(`1:${at + 1} (${at}): no match found`);
}
