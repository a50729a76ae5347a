// `bench subjects`: what live subscriptions cost, from a thousand to a million of them, each to a subject of its own:
// memory for each, and how many live publishes find the one that they are for in a second of the processor's time.

import { askProcess } from "./ask-process.js";
import { count, table } from "./table.js";

export interface SubjectsRequest {
  readonly kind: SubjectsRow["kind"];
  readonly subscriptions: number;
  readonly seconds: number;
}

export interface SubjectsRow {
  /** Called for each message, or holding up to 100 messages until they are taken. */
  readonly kind: "receivers" | "subscriptions";
  readonly subscriptions: number;
  /** Of the processor's time, as all rates here: it does not depend on what else the machine does. */
  readonly subscribesPerSecond: number;
  readonly bytesEach: number;
  /** To any of the subjects, at random. */
  readonly anyPerSecond: number;
  /** To a thousand of them. */
  readonly hotPerSecond: number;
  /** When all are closed again. */
  readonly bytesLeftEach: number;
}

export type SubjectsAnswer = { readonly row: SubjectsRow } | { readonly error: string };

const COUNTS = [1_000, 10_000, 100_000, 1_000_000];
const KINDS = ["receivers", "subscriptions"] as const;
const subjectsProcess = new URL("./subjects-process.js", import.meta.url);

/** With `json`, prints `{"rows":[...]}`, each a {@link SubjectsRow}. */
export async function benchSubjects(options: {
  readonly seconds: number;
  readonly json: boolean;
}): Promise<void> {
  const rows: SubjectsRow[] = [];
  for (const kind of KINDS) {
    for (const subscriptions of COUNTS) {
      const request: SubjectsRequest = { kind, subscriptions, seconds: options.seconds };
      const flags = ["--expose-gc", "--max-old-space-size=4096"];
      const answer = await askProcess<SubjectsAnswer>(subjectsProcess, request, flags);
      if ("error" in answer) throw new Error(answer.error);
      rows.push(answer.row);
    }
  }
  process.stdout.write(`${options.json ? JSON.stringify({ rows }) : formatRows(rows)}\n`);
}

function formatRows(rows: readonly SubjectsRow[]): string {
  const head = ["", "live", "subscribes/s", "B each", "publishes/s", "to 1,000 of them", "B each, closed"];
  const cells = rows.map((row) => {
    const { kind, subscriptions, subscribesPerSecond, bytesEach, anyPerSecond, hotPerSecond } = row;
    const counts = [subscriptions, subscribesPerSecond, bytesEach, anyPerSecond, hotPerSecond];
    return [kind, ...counts.map(count), row.bytesLeftEach.toFixed(1)];
  });
  return `Live subscriptions to a subject each; rates are of a second of the processor's time\n${table(head, cells)}`;
}
