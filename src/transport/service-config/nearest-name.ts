// What somebody may have meant who wrote a name that is not known. Keeps nothing.

/** The name that is most like what was written, whatever its case and underscores; undefined where none is much like it. */
export function nearestName(written: string, names: readonly string[]): string | undefined {
  const plain = plainOf(written.slice(0, 60));
  let nearest: string | undefined;
  // A third of the letters may differ, and no more than three.
  let bound = Math.min(3, Math.floor(plain.length / 3));
  for (const name of names) {
    const distance = editDistance(plain, plainOf(name));
    if (distance > bound) continue;
    nearest = name;
    bound = distance - 1;
  }
  return nearest;
}

function plainOf(name: string): string {
  return name.replaceAll(/[-_ ]/g, "").toLowerCase();
}

/** Letters to put in, take out or change: Levenshtein's. */
function editDistance(a: string, b: string): number {
  let above = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let row = 1; row <= a.length; row++) {
    const line = [row];
    for (let at = 1; at <= b.length; at++) {
      const change = (above[at - 1] ?? 0) + (a[row - 1] === b[at - 1] ? 0 : 1);
      line.push(Math.min(change, (above[at] ?? 0) + 1, (line[at - 1] ?? 0) + 1));
    }
    above = line;
  }
  return above[b.length] ?? 0;
}
