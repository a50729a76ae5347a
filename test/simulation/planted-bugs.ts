// Bugs put into a copy of the compiled engine on purpose: a simulator that does not notice them is worth nothing.

import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

export interface PlantedBug {
  readonly name: string;
  /** Below src/, compiled. */
  readonly file: string;
  /** Stands there once. */
  readonly find: string;
  readonly replace: string;
}

export const PLANTED_BUGS: readonly PlantedBug[] = [
  {
    name: "acknowledge before the segment is synced",
    file: "log/commit-round.js",
    find: "await this.context.statistics.measure(() => part.segment.sync(part.end));",
    replace: "",
  },
  {
    name: "acknowledge before the journal is synced",
    file: "log/journal-file.js",
    find: "await this.file.sync();\n        if (this.usedBytes === 0)",
    replace: "if (this.usedBytes === 0)",
  },
  {
    name: "skip the replay of the journal",
    file: "log/journal-recovery.js",
    find: "const wanted = parts.filter((part) => part.segmentBase === segmentBase);",
    replace: "const wanted = [];",
  },
  {
    name: "forget to sync the folder of a new log",
    file: "log/log-store.js",
    find: "await files.syncDirectory(parentOf(directory));\n        return segments;",
    replace: "return segments;",
  },
  {
    name: "reuse an offset after a lost tail, and take it for settled",
    file: "broker/progress.js",
    find: "const isCut = this.#cut(end);",
    replace: "const isCut = false;",
  },
  {
    name: "settle on a stale lease",
    file: "broker/delivery.js",
    find: "if (this.#status !== LEASED) {\n            if (this.#status === LOST) {",
    replace: "if (this.#status === SETTLED) {\n            if (this.#status === LOST) {",
  },
  {
    name: "lose delayed and returned messages at a restart",
    file: "broker/progress.js",
    find: "this.held.makeAllReady();",
    replace: "",
  },
  {
    name: "try a failed sync again",
    file: "log/segment.js",
    find: "await this.syncing;\n        this.syncing = undefined;",
    replace: "await this.syncing.catch(() => this.openFile.sync());\n        this.syncing = undefined;",
  },
  {
    name: "commit a transaction in parts",
    file: "broker/transactions.js",
    find: "this.#store.atomically(() => {",
    replace: "((action) => action())(() => {",
  },
  {
    name: "keep a rolled back part in the journal",
    file: "log/commit-round.js",
    find: "await journal.void(entry, indexes);",
    replace: "",
  },
  {
    name: "do not look at checksums",
    file: "log/record-batch.js",
    find: "return stored === computed ? undefined",
    replace: "return true ? undefined",
  },
  {
    name: "remove more of a topic than it may",
    file: "log/retention.js",
    find: "logBytes - segment.sizeBytes >= bytes",
    replace: "logBytes >= bytes",
  },
  {
    name: "move a group without storing that",
    file: "broker/source-changes.js",
    find: "await this.#existing.catalog.put(definition);",
    replace: "",
  },
  {
    name: "forward a message in two steps",
    file: "broker/forwarder.js",
    find: "store.atomically(() => {",
    replace: "((action) => action())(() => {",
  },
  {
    name: "store what a schedule sends, and that it did, in two steps",
    file: "broker/schedules.js",
    find: "this.#parts.store.atomically(() => {\n            for (const timeMs of due)",
    replace: "((action) => action())(() => {\n            for (const timeMs of due)",
  },
  {
    name: "let others overtake more important messages that have to be read",
    file: "broker/handing-out.js",
    find: "if (isStrict && state.hasReady(nowMs))",
    replace: "if (false)",
  },
  {
    name: "take one message more than a queue may have",
    file: "broker/queue.js",
    find: "if (this.count - this.#countOutside >= countMax)",
    replace: "if (this.count - this.#countOutside > countMax)",
  },
  {
    name: "drop a message instead of dead-lettering it",
    file: "broker/burials.js",
    find: "await moveToDeadLetters?.(",
    replace: "await (reason === 'overflow' ? undefined : moveToDeadLetters)?.(",
  },
];

const dist = fileURLToPath(new URL("../../", import.meta.url));
const planted = fileURLToPath(new URL("../../../.cache/planted/", import.meta.url));

/** Makes a copy of the compiled engine and simulator with the bug in it. Returns the path of its command. */
export async function plant({ name, file, find, replace }: PlantedBug): Promise<string> {
  const copy = `${planted}${name.replaceAll(/[^a-z]+/g, "-")}`;
  await rm(copy, { recursive: true, force: true });
  await mkdir(copy, { recursive: true });
  const options = { recursive: true, filter: (from: string) => !/\.(d\.ts|map)$/.test(from) };
  for (const part of ["src", "test/simulation", "test/support"])
    await cp(`${dist}${part}`, `${copy}/${part}`, options);
  const path = `${copy}/src/${file}`;
  const code = await readFile(path, "utf8");
  const found = code.split(find).length - 1;
  if (found !== 1)
    throw new Error(`${name}: its place is in ${file} ${found} times; bring the bug up to date`);
  await writeFile(path, code.replace(find, replace));
  return `${copy}/test/simulation/main.js`;
}

/** Forgets all copies. */
export async function removePlanted(): Promise<void> {
  await rm(planted, { recursive: true, force: true });
}
