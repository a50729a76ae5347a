// A row of the report, and how one is measured: in a process of its own, so that no engine runs on the heap and the
// compiled code that another left behind.

import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { askProcess } from "./ask-process.js";
import type { LoadResult } from "./load.js";
import type { Timing } from "./measured-window.js";

/** How many queues at once, and how many messages in flight over all of them. */
export interface Shape {
  readonly queues: number;
  readonly depth: number;
}

/** A row as `--json` prints it. */
export interface Row extends Shape, LoadResult {
  readonly engine: string;
  readonly durable: string;
}

/** What a row's process is asked to do. */
export interface RowRequest {
  readonly engine: string;
  readonly shape: Shape;
  readonly timing: Timing;
  readonly directory: string;
}

/** What it answers. */
export type RowAnswer = { readonly row: Row } | { readonly error: string };

const rowProcess = new URL("./row-process.js", import.meta.url);

/** Measures in a fresh process and a fresh directory below `directory`. Rejects with what the engine failed with. */
export async function measureRow(
  engine: string,
  shape: Shape,
  timing: Timing,
  directory: string,
): Promise<Row> {
  const ownDirectory = mkdtempSync(join(directory, `${engine}-`));
  try {
    const request: RowRequest = { engine, shape, timing, directory: ownDirectory };
    const answer = await askProcess<RowAnswer>(rowProcess, request);
    if ("error" in answer) throw new Error(answer.error);
    return answer.row;
  } finally {
    rmSync(ownDirectory, { recursive: true, force: true });
  }
}
