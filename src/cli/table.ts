// Tables on a terminal: no borders, numbers to the right, one line a row.

import CliTable from "cli-table3";
import type { Colours } from "./world.js";

/** One column: its title and which way its cells lean. */
export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
}

const NO_LINES = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: "  ",
} as const;

/** The rows under their titles, without a line end. */
export function renderTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  colours: Colours,
): string {
  const table = new CliTable({
    head: columns.map((column) => colours.dim(column.title)),
    colAligns: columns.map((column) => column.align ?? "left"),
    chars: NO_LINES,
    style: { head: [], border: [], compact: true, "padding-left": 0, "padding-right": 0 },
  });
  table.push(...rows.map((row) => [...row]));
  return table
    .toString()
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n");
}
