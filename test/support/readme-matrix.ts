// Renders the table of what works where for README, from its cells. Writes no file, and proves nothing: `npm run matrix` does.

import {
  type MatrixCell,
  type MatrixNote,
  type MatrixRuntime,
  matrixNotes,
  matrixRows,
  matrixRuntimes,
} from "../matrix/cells.ts";

const digits = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** The table in Markdown with its footnotes, numbered as they come. Ends with a line break. */
export function renderMatrix(): string {
  const notes: MatrixNote[] = [];
  const mark = (note: MatrixNote | undefined): string => {
    if (note === undefined) return "";
    if (!notes.includes(note)) notes.push(note);
    return ` ${superscript(notes.indexOf(note) + 1)}`;
  };
  const cell = ({ works, note }: MatrixCell) => `${works ? "yes" : "–"}${mark(note)}`;
  const runtimes = Object.keys(matrixRuntimes) as MatrixRuntime[];
  const rows = matrixRows.map(({ title, note, cells }) => [
    `${title}${mark(note)}`,
    ...runtimes.map((runtime) => cell(cells[runtime])),
  ]);
  const head = ["", ...Object.values(matrixRuntimes)];
  const rule = head.map((_, column) => (column === 0 ? "---" : ":-:"));
  const table = [head, rule, ...rows].map((columns) => `| ${columns.join(" | ")} |`);
  return `${[...table, "", ...notes.map((note, index) => `${index + 1}. ${matrixNotes[note]}`)].join("\n")}\n`;
}

function superscript(number: number): string {
  return String(number).replace(/\d/g, (digit) => digits[Number(digit)] ?? "");
}
