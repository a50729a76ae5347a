// Lets a reader follow a log that another process owns and goes on writing.

import type { Files } from "../io/io.js";
import { scanTail } from "./recovery.js";
import { baseOffsetOf, Segment } from "./segment.js";
import type { SegmentPool } from "./segment-pool.js";

/** A log of a read-only store. */
export interface FollowedLog {
  readonly name: string;
  readonly files: Files;
  readonly directory: string;
  readonly segments: Segment[];
}

/** Takes in what the owner did since: new batches, new segments, deleted ones. False when that is nothing. */
export async function refreshSegments(log: FollowedLog, pool: SegmentPool): Promise<boolean> {
  const bases = (await log.files.list(log.directory)).map(baseOffsetOf).filter((base) => base !== undefined);
  // A log that is being deleted keeps what is known of it.
  if (bases.length === 0) return false;
  const active = log.segments.at(-1)!;
  let isChanged = await follow(log, active);
  let last = active;
  for (const base of bases) {
    if (base <= last.baseOffset) continue;
    last.nextOffset = base;
    last.isSealed = true;
    last.release();
    last = new Segment(log.files, pool, log.directory, base);
    await last.acquire();
    last.startIndexAt(0);
    await follow(log, last);
    log.segments.push(last);
    isChanged = true;
  }
  const kept = new Set(bases);
  for (const segment of [...log.segments]) {
    if (kept.has(segment.baseOffset) || segment === last) continue;
    log.segments.splice(log.segments.indexOf(segment), 1);
    void segment.retire();
    isChanged = true;
  }
  return isChanged;
}

/** Takes in the batches that were written behind the ones that are known. What is torn is not complete yet. */
async function follow(log: FollowedLog, segment: Segment): Promise<boolean> {
  const before = segment.sizeBytes;
  const fileBytes = await segment.openFile.size();
  await scanTail(log.name, segment, fileBytes, { soundBytes: 0, isSynced: false });
  segment.syncedBytes = segment.sizeBytes;
  return segment.sizeBytes > before;
}
