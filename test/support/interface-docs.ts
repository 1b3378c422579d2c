// Reads the members of an exported interface and their docstrings, inherited ones included, for the tables of README.
// Knows the shapes that src/ uses (`extends A, Omit<B, "c">`, `type A = B`), not TypeScript's grammar; throws on others.

import { readFileSync } from "node:fs";
import { posix } from "node:path";

/** One member of an interface. */
export interface MemberDoc {
  readonly name: string;
  readonly optional: boolean;
  /** As written, on one line. */
  readonly type: string;
  /** Its docstring on one line; "" when it has none. */
  readonly doc: string;
}

const root = new URL("../../", import.meta.url);

/** Members of an interface, its own first, then those of what it extends. `file` is a path from the project's folder. */
export function readInterface(file: string, name: string): readonly MemberDoc[] {
  const source = readFileSync(new URL(file, root), "utf8");
  const head = new RegExp(`(?:export )?interface ${name}(?:\\s+extends\\s+([^{]+?))?\\s*\\{`).exec(source);
  if (head === null) return readInterface(...declaredElsewhere(source, file, name));

  const members = new Map<string, MemberDoc>();
  const add = (member: MemberDoc): void => {
    const known = members.get(member.name);
    // Two bases may share a member, and only one of them describe it.
    if (known === undefined || (known.doc === "" && member.doc !== "")) members.set(member.name, member);
  };
  ownMembers(source, head.index + head[0].length).forEach(add);
  for (const [whole, plain] of (head[1] ?? "").matchAll(/Omit<[^>]+>|(\w+)/g)) {
    const [, base = plain ?? "", keys = ""] = /^Omit<\s*(\w+),([^>]+)>$/.exec(whole) ?? [];
    const omitted = new Set([...keys.matchAll(/"(\w+)"/g)].map(([, key]) => key));
    for (const member of readInterface(file, base)) if (!omitted.has(member.name)) add(member);
  }
  return [...members.values()];
}

/** Where a name comes from that is no interface of this file: an alias, an import or a re-export. */
function declaredElsewhere(source: string, file: string, name: string): [file: string, name: string] {
  const [, target] = new RegExp(`export type ${name} = (\\w+);`).exec(source) ?? [];
  if (target !== undefined) return [file, target];
  for (const [, names = "", path = ""] of source.matchAll(
    /(?:import|export) (?:type )?\{([^}]+)\} from "(\.[^"]+)";/g,
  )) {
    if (new RegExp(`\\b${name}\\b`).test(names)) return [posix.join(posix.dirname(file), path), name];
  }
  throw new Error(`Cannot find interface ${name} in ${file}`);
}

/** Members from just after the opening brace to the closing one. */
function ownMembers(source: string, start: number): readonly MemberDoc[] {
  const members: MemberDoc[] = [];
  let at = start;
  for (;;) {
    const [space = "", comment = ""] = /^\s*(\/\*\*[\s\S]*?\*\/)?\s*/.exec(source.slice(at)) ?? [];
    at += space.length;
    if (source[at] === "}") return members;
    const end = memberEnd(source, at);
    const text = source.slice(at, end).replace(/\s+/g, " ");
    at = end + 1;
    const match = /^(?:readonly )?(\w+)(\?)?(?:: |(?=\())(.+)$/.exec(text);
    if (match === null) throw new Error(`Cannot read a member as it has an unknown shape: ${text}`);
    const [, name = "", optional, type = ""] = match;
    members.push({ name, optional: optional !== undefined, type, doc: docText(comment) });
  }
}

/** Position of the `;` that ends a member; those inside brackets belong to its type. */
function memberEnd(source: string, start: number): number {
  let depth = 0;
  for (let at = start; at < source.length; at++) {
    const character = source[at] ?? "";
    if ("({[".includes(character)) depth++;
    else if (")}]".includes(character)) depth--;
    else if (character === ";" && depth === 0) return at;
  }
  throw new Error("Cannot read an interface as it does not end");
}

function docText(comment: string): string {
  return comment
    .replace(/^\/\*\*|\*\/$/g, "")
    .replace(/^\s*\* ?/gm, "")
    .replace(/\s+/g, " ")
    .trim();
}
