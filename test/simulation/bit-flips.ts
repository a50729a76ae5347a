// Where a bit may flip so that the engine has to notice it, or is none the worse for it. A torn write and a flipped bit look
// the same at the end of what was written last: only a clean close says how much there is.

import { decodeEntry } from "../../src/log/journal-entry.js";
import { batchSizeAt, findBatchFault, LAST_OFFSET_DELTA_AT, LENGTH_AT } from "../../src/log/record-batch.js";
import type { SeededRandom } from "../support/seeded-random.js";
import type { SimulatedDisk } from "../support/simulated-disk.js";

export interface Place {
  readonly path: string;
  readonly position: number;
}

type Kind = "log" | "index" | "journal" | "other";
/** As often as it stands here. */
const KINDS: readonly Kind[] = ["log", "log", "log", "log", "index", "journal", "other"];
/** These are synced, whatever the others are. */
const ALWAYS_SYNCED = /\/logs\/(catalog|schedules)\//;
const NEVER_SYNCED = "/logs/settlements/";

/** A place; undefined when there is none of the kind that was drawn. */
export function placeToFlip(
  disk: SimulatedDisk,
  random: SeededRandom,
  wasClosed: boolean,
  isSynced: boolean,
): Place | undefined {
  const wanted = random.pick(KINDS);
  const found: { path: string; sizeBytes: number }[] = [];
  const files = [...disk.contents()].filter(([path]) => kindOf(path) === wanted);
  const newest = wanted === "journal" && !wasClosed ? newestJournal(files) : undefined;
  for (const [path, bytes] of files) {
    const isLast = wanted === "log" && !files.some(([other]) => isLaterSegment(other, path));
    let sizeBytes = bytes.length;
    if (!wasClosed && isLast) sizeBytes = isSyncedLog(path, isSynced) ? lastBatchAt(bytes) : 0;
    if (newest?.path === path) sizeBytes = newest.lastAt;
    if (sizeBytes > 0) found.push({ path, sizeBytes });
  }
  if (found.length === 0) return undefined;
  const { path, sizeBytes } = random.pick(found);
  const position = random.below(sizeBytes);
  // With a torn write at the end as well, the sizes that a batch says are all that tells it from its neighbours.
  return wanted === "log" && !wasClosed && isOfSize(disk, path, position) ? undefined : { path, position };
}

/** Whether it is a byte of the length of a batch, or of how many offsets it has. */
function isOfSize(disk: SimulatedDisk, path: string, position: number): boolean {
  for (const [other, bytes] of disk.contents()) {
    if (other !== path) continue;
    let start = 0;
    while (start + batchSizeAt(bytes, start) <= position) start += batchSizeAt(bytes, start);
    return [LENGTH_AT, LAST_OFFSET_DELTA_AT].some(
      (at) => position >= start + at && position < start + at + 4,
    );
  }
  return false;
}

function kindOf(path: string): Kind | undefined {
  if (path.startsWith("data/deleted/")) return undefined;
  if (path.endsWith(".log")) return "log";
  if (path.endsWith("index")) return "index";
  return path.endsWith(".journal") ? "journal" : "other";
}

function isLaterSegment(path: string, than: string): boolean {
  const folder = than.slice(0, than.lastIndexOf("/"));
  return path.startsWith(`${folder}/`) && path > than;
}

function isSyncedLog(path: string, isSynced: boolean): boolean {
  if (path.includes(NEVER_SYNCED)) return false;
  return isSynced || ALWAYS_SYNCED.test(path);
}

/** Where the last whole batch begins. */
function lastBatchAt(bytes: Buffer): number {
  let last = 0;
  for (let at = 0; findBatchFault(bytes, at) === undefined; at += batchSizeAt(bytes, at)) last = at;
  return last;
}

/** The file with the newest entry, and where that begins. */
function newestJournal(
  files: readonly (readonly [string, Buffer])[],
): { path: string; lastAt: number } | undefined {
  let newest: { path: string; lastAt: number; number: number } | undefined;
  for (const [path, bytes] of files) {
    let at = 0;
    let previous: { number: number; pass: number } | undefined;
    for (let entry = decodeEntry(bytes, at); entry !== undefined; entry = decodeEntry(bytes, at)) {
      if (previous !== undefined && (entry.pass !== previous.pass || entry.number !== previous.number + 1))
        break;
      if (newest === undefined || entry.number > newest.number)
        newest = { path, lastAt: at, number: entry.number };
      previous = entry;
      at += entry.sizeBytes;
    }
  }
  return newest;
}
