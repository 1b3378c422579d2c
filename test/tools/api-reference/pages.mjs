// Plugin of TypeDoc: cuts the entry "lictor" into the sections that its comments make ("// Serve: servers that announce
// themselves there."), a page each, with what can be called first and the rest in the entry's own order. Leaves out what only
// repeats the signature. The texts are those of the sources.

import { Comment, Converter, DeclarationReflection, ReflectionKind } from "typedoc";
import { MarkdownTheme, MarkdownThemeContext } from "typedoc-plugin-markdown";

/** Name under which an entry's file is imported. */
const importNames = new Map([
  ["index", "lictor"],
  ["edge", "lictor/edge"],
  ["edge-tcp", "lictor/edge/tcp"],
  ["testing", "lictor/testing"],
]);

/** Called by TypeDoc. */
export function load(app) {
  let pages = [];
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, (context) => {
    pages = context.project.getChildrenByKind(ReflectionKind.Module).flatMap((entry) => cut(context, entry));
    for (const property of context.project.getReflectionsByKind(ReflectionKind.Property)) describeByType(property);
    // Classes are errors: they are caught, not made.
    for (const made of context.project.getReflectionsByKind(ReflectionKind.Constructor)) {
      if (made.parent?.kindOf(ReflectionKind.Class)) context.project.removeReflection(made);
    }
  });
  // After TypeDoc's own sorting, which is for members.
  const restoreOrder = () => {
    for (const { page, names } of pages) {
      for (const { children } of page.groups ?? []) {
        // What a page is named after comes first.
        const place = ({ name }) => (name === page.name ? -1 : names.indexOf(name));
        children.sort((a, b) => place(a) - place(b));
      }
    }
  };
  app.converter.on(Converter.EVENT_RESOLVE_END, restoreOrder, -1000);
  app.renderer.defineTheme("compact", CompactTheme);
}

/** Replaces an entry by its pages. */
function cut(context, entry) {
  const { project } = context;
  const file = context.getSymbolFromReflection(entry)?.declarations?.[0]?.getSourceFile();
  const importName = importNames.get(entry.name);
  if (file === undefined || importName === undefined) throw new Error(`Cannot write pages of ${entry.name}`);
  const pages = sectionsOf(file.text, importName).map(({ title, name, summary, text }) => {
    const page = new DeclarationReflection(name, ReflectionKind.Module, project);
    page.comment = new Comment([{ kind: "text", text: `${summary} Imported from \`${importName}\`.`.trim() }]);
    page.pageTitle = title;
    project.registerReflection(page, undefined, undefined);
    project.addChild(page);
    const names = [...text.matchAll(/\w+/g)].map(([word]) => word);
    for (const child of [...(entry.children ?? [])]) {
      if (!names.includes(child.name)) continue;
      entry.removeChild(child);
      child.parent = page;
      page.addChild(child);
    }
    return { page, names };
  });
  const left = entry.children?.map(({ name }) => name) ?? [];
  if (left.length > 0) throw new Error(`Cannot write pages as no section of ${entry.name} holds ${left.join(", ")}`);
  project.removeReflection(entry);
  return pages;
}

/** Comments that stand alone between blank lines, and the exports below each. A small entry has one page, whatever its comments. */
function sectionsOf(source, importName) {
  const subpath = importName.split("/").slice(1).join("-");
  if (subpath !== "") return [{ title: importName, name: subpath, summary: "", text: source }];
  // The first comment is the file's own.
  const parts = source.split(/^\/\/ ([^\n]+(?:\n\/\/ [^\n]+)*)\n\n/m).slice(1);
  const sections = [];
  for (let index = parts[1].trim() === "" ? 2 : 0; index < parts.length; index += 2) {
    const [title, rest = ""] = parts[index].replaceAll("\n// ", " ").split(/: (.*)/s);
    const summary = rest === "" ? "" : `${rest[0].toUpperCase()}${rest.slice(1)}`;
    const [name] = title.replace(/\W*$/, "").toLowerCase().split(" ");
    sections.push({ title: title.replace(/\.$/, ""), name, summary, text: parts[index + 1] });
  }
  return sections;
}

/** An option without a docstring of its own shows the first sentence of its type's. */
function describeByType(property) {
  if (property.hasComment() || property.type?.type !== "reference") return;
  const text = firstSentence(property.type.reflection);
  if (text !== "") property.comment = new Comment([{ kind: "text", text }]);
}

/** The beginning of a symbol's docstring, on one line; "" where it has none. */
function firstSentence(symbol) {
  const target = symbol?.isReference() ? symbol.getTargetReflectionDeep() : symbol;
  const comment = target?.comment ?? target?.signatures?.[0]?.comment;
  const text = comment?.summary.map((part) => part.text).join("") ?? "";
  const [sentence = text] = /^[\s\S]*?[.:](?=\s+[A-Z-]|$)/.exec(text) ?? [];
  return sentence.replaceAll(/\s+/g, " ").replace(/:$/, ".");
}

class CompactTheme extends MarkdownTheme {
  render(page) {
    return `${super.render(page).trimEnd()}\n`;
  }

  getRenderContext(page) {
    return new CompactContext(this, page, this.application.options);
  }
}

class CompactContext extends MarkdownThemeContext {
  constructor(...args) {
    super(...args);
    const { hasUsefulTypeDetails } = this.helpers;
    // The members of a union stand in its signature.
    this.helpers = {
      ...this.helpers,
      hasUsefulTypeDetails: (type) => type.type !== "union" && hasUsefulTypeDetails(type),
    };
    const { body, hierarchy, pageTitle } = this.partials;
    this.partials = {
      ...this.partials,
      pageTitle: () => this.page.model.pageTitle ?? pageTitle(),
      // The signature says it.
      signatureReturns: () => "",
      inheritance: () => "",
      // What extends a type is no news to its reader.
      hierarchy: (model, options) =>
        model.isTarget ? "" : hierarchy({ ...model, next: { ...model.next, next: undefined } }, options),
      // The index of all pages lists their symbols.
      body: (model, options) => (model.isProject() ? this.index(model) : body(model, options)),
    };
  }

  index(project) {
    const origin = "Written from the docstrings in `src/` by `npm run docs`; not edited by hand.";
    return [origin].concat(project.children.flatMap((page) => this.indexOf(page))).join("\n\n");
  }

  indexOf(page) {
    return [
      `## [${page.pageTitle}](${this.urlTo(page)})`,
      page.comment.summary.map(({ text }) => text).join(""),
      [
        "| Name | Description |",
        "| --- | --- |",
        ...page.groups.flatMap(({ children }) => children).map((child) => this.indexRow(child)),
      ].join("\n"),
    ];
  }

  indexRow(child) {
    const name =
      child.signatures === undefined || child.kindOf(ReflectionKind.TypeAlias) ? child.name : `${child.name}()`;
    return `| [\`${name}\`](${this.urlTo(child)}) | ${firstSentence(child).replaceAll("|", "\\|")} |`;
  }
}
