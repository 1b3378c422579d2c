// Reads what the documents' tests look at: code blocks and links. Knows the Markdown that the documents use, not all of it.

/** A fenced block. */
export interface CodeBlock {
  readonly language: string;
  /** With its last line break. */
  readonly text: string;
  /** What the comment before it says, with nothing but blank lines between: `run`, `of: PACKAGE`, `file: PATH`. */
  readonly mark: string | undefined;
  /** Whether the mark is `run`. */
  readonly isRunnable: boolean;
  /** The `text` block that follows with nothing but blank lines between: what running it prints. */
  readonly output: string | undefined;
}

/** An inline link. */
export interface Link {
  readonly text: string;
  readonly target: string;
}

/** Fenced blocks in their order. */
export function codeBlocks(markdown: string): readonly CodeBlock[] {
  const fences = [...markdown.matchAll(/(?:^<!-- ([^\n]+?) -->\n+)?^```(\w+)\n([\s\S]*?)^```$/gm)];
  return fences.map(({ 0: whole, 1: mark, 2: language = "", 3: text = "", index }, position) => {
    const next = fences[position + 1];
    const between = next === undefined ? "x" : markdown.slice(index + whole.length, next.index);
    return {
      language,
      text,
      mark,
      isRunnable: mark === "run",
      output: between.trim() === "" && next?.[2] === "text" ? next[3] : undefined,
    };
  });
}

/** Inline links outside of fenced blocks. */
export function links(markdown: string): readonly Link[] {
  return [...withoutBlocks(markdown).matchAll(/\[([^\]]+)\]\(([^)\s]+)\)/g)].map(([, text = "", target = ""]) => ({
    text,
    target,
  }));
}

/** The anchors of all headings, as GitHub makes them, and those that are written out (`<a id="...">`). */
export function anchors(markdown: string): ReadonlySet<string> {
  const text = withoutBlocks(markdown);
  const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
  const written = [...text.matchAll(/<a id="([^"]+)">/g)].map(([, id = ""]) => id);
  return new Set([...headings, ...written]);
}

/** Inline code outside of fenced blocks. */
export function codeSpans(markdown: string): readonly string[] {
  return [...withoutBlocks(markdown).matchAll(/`([^`\n]+)`/g)].map(([, text = ""]) => text);
}

function withoutBlocks(markdown: string): string {
  return markdown.replace(/^```[\s\S]*?^```$/gm, "");
}
