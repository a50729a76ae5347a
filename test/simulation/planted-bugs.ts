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
];

const dist = fileURLToPath(new URL("../../", import.meta.url));
const planted = fileURLToPath(new URL("../../../.cache/planted/", import.meta.url));

/** Makes a copy of the compiled engine and simulator with the bug in it. Returns the path of its command. */
export async function plant({ name, file, find, replace }: PlantedBug): Promise<string> {
  const copy = `${planted}${name.replaceAll(/[^a-z]+/g, "-")}`;
  await rm(copy, { recursive: true, force: true });
  await mkdir(copy, { recursive: true });
  await cp(`${dist}src`, `${copy}/src`, { recursive: true });
  for (const part of ["simulation", "support"])
    await cp(`${dist}test/${part}`, `${copy}/test/${part}`, { recursive: true });
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
