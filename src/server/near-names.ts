// What somebody may have meant who misspelt a name.

/** The name that is nearest to `text`, when it is near; undefined else. */
export function nearestName(text: string, names: readonly string[]): string | undefined {
  // Two letters that changed places are two.
  const allowed = text.length < 4 ? 1 : Math.max(2, Math.floor(text.length / 3));
  let nearest: string | undefined;
  let least = allowed + 1;
  for (const name of names) {
    const distance = editDistance(text.toLowerCase(), name.toLowerCase());
    if (distance >= least) continue;
    least = distance;
    nearest = name;
  }
  return nearest;
}

/** How many characters have to be added, removed or replaced. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, at) => at);
  for (let i = 1; i <= from.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= to.length; j += 1) {
      const replaced = row[j - 1]! + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[to.length]!;
}
