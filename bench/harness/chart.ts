// A chart of a run as SVG: CPU per unary call, a panel a side, a bar a row. Colours follow the reader's light or dark scheme.

import type { Side } from "./cores.ts";
import type { Results } from "./results.ts";

const width = 720;
const labelWidth = 150;
const valueWidth = 76;
const barHeight = 20;
const rowHeight = 28;
const panelGap = 30;
const top = 64;

const style = `
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-size: 16px; font-weight: 600 }
  .faint { fill: #59636e }
  .bar { fill: #8c959f }
  .own { fill: #0969da }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .faint { fill: #9198a1 }
    .bar { fill: #656c76 }
    .own { fill: #4493f8 }
  }`;

/** Draws it. Has no background: it stands on the page's. */
export function drawChart(results: Results): string {
  const panels = (["client", "server"] as const).map((side) => ({ side, bars: listBars(results, side) }));
  let y = top;
  const parts: string[] = [];
  for (const { side, bars } of panels) {
    parts.push(text(0, y, `${side}, CPU µs per call`, "faint"));
    const longest = Math.max(...bars.map(({ value }) => value));
    y += 10;
    for (const { row, value } of bars) {
      const length = Math.max(2, ((width - labelWidth - valueWidth) * value) / longest);
      const baseline = y + 15;
      parts.push(
        text(0, baseline, row),
        `<rect class="${row === "lictor" ? "own" : "bar"}" x="${labelWidth}" y="${y}" width="${length.toFixed(1)}" height="${barHeight}" rx="2"/>`,
        text(labelWidth + length + 8, baseline, value < 10 ? value.toFixed(1) : value.toFixed(0)),
      );
      y += rowHeight;
    }
    y += panelGap;
  }
  const height = y - panelGap + 6;
  const { runtime, runtimeVersion, machine, rounds, date } = results;
  const title = `Unary gRPC calls on ${nameOf(runtime)} ${runtimeVersion}: small message, 64 in flight`;
  const subtitle = `${machine.cpu}, ${machine.isPinned ? "one core a side" : "cores shared"}, medians of ${rounds} rounds, ${date.slice(0, 10)}; shorter is better`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeXml(title)}">`,
    `<style>${style}\n</style>`,
    text(0, 18, title, "title"),
    text(0, 38, subtitle, "faint"),
    ...parts,
    "</svg>\n",
  ].join("\n");
}

function listBars({ sides }: Results, side: Side): readonly { readonly row: string; readonly value: number }[] {
  return Object.entries(sides[side])
    .flatMap(([row, phases]) => {
      const sample = phases["unary-64"];
      return sample === undefined ? [] : [{ row, value: sample.cpuUs }];
    })
    .sort((a, b) => a.value - b.value);
}

/** As its makers write it. */
function nameOf(runtime: string): string {
  return runtime.charAt(0).toUpperCase() + runtime.slice(1);
}

function text(x: number, y: number, content: string, kind?: string): string {
  const attribute = kind === undefined ? "" : ` class="${kind}"`;
  return `<text${attribute} x="${x.toFixed(0)}" y="${y}">${escapeXml(content)}</text>`;
}

function escapeXml(value: string): string {
  return value.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
