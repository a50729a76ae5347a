// The tables of reports for people, and what they say in colours.

import Table from "cli-table3";
import picocolors from "picocolors";

export const colors = picocolors.createColors(process.stdout.isTTY === true && picocolors.isColorSupported);

/** Columns stand to the right, as numbers do, but for those of which `isLeft` says otherwise. */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  isLeft = (column: number): boolean => column === 0,
): string {
  const grid = new Table({
    head: head.map((title) => colors.dim(title)),
    colAligns: head.map((_title, column) => (isLeft(column) ? "left" : "right")),
    style: { head: [], border: [] },
    chars: { mid: "", "left-mid": "", "mid-mid": "", "right-mid": "" },
  });
  grid.push(...rows.map((row) => [...row]));
  return grid.toString();
}

export function count(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** How many times better we are: green when we are. */
export function ratio(value: number): string {
  const text = `${value.toFixed(value < 10 ? 1 : 0)} x`;
  return value >= 1 ? colors.green(text) : colors.red(text);
}
